// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/engine/text_job.h"

#include <unistd.h>

#include "support/golden_checkpoint.h"

namespace kvtoll {
namespace {

constexpr const char* kModel = "qwen3-head-dim";
const std::string kScribe = std::string(KVTOLL_SOURCE_DIR) + "/models/scribe";

TextJob token_job() {
  TextJob job{.model = test::golden_path(kModel), .backend = "cpu", .dtype = DType::kF32};
  job.token_ids = test::golden_logits(kModel).prompt;
  job.options.threads = 1;
  job.max_new_tokens = 64;
  return job;
}

Result<TextOutcome> quietly(const TextJob& job, std::string* text = nullptr) {
  return run_text_job(
      job,
      [&](std::string_view piece) {
        if (text) *text += piece;
      },
      [] { return false; });
}

TEST(TextJob, WritesTheLogitsOfEveryStep) {
  const auto golden = test::golden_logits(kModel);
  TextJob job = token_job();
  const auto path = std::filesystem::temp_directory_path() /
                    ("kvtoll_logits_" + std::to_string(getpid()) + ".safetensors");
  job.logits_file = path;
  std::string text, expected;
  const auto out = quietly(job, &text);
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(out->generation.tokens, golden.tokens);
  for (int32_t id : golden.tokens) expected += std::to_string(id) + " ";
  EXPECT_EQ(text, expected);
  EXPECT_GT(out->decode_tok_s(), 0.0);
  EXPECT_GT(out->decode_bytes.value, 0);
  const auto file = SafetensorsFile::open(path).value();
  const TensorView logits = file->tensor("logits").value();
  EXPECT_EQ(test::ids_of(file->tensor("ids").value()), golden.tokens);
  ASSERT_EQ(logits.shape, (Shape{64, 64}));
  const auto* data = static_cast<const float*>(logits.data);
  const int64_t last = static_cast<int64_t>(golden.prompt.size()) - 1;
  EXPECT_LT(test::relative_error({data, 64}, golden.prefill, last), 1e-3);
  for (int64_t i = 1; i < 64; ++i)
    EXPECT_LT(test::relative_error({data + i * 64, 64}, golden.decode, i - 1), 1e-3) << i;
  std::filesystem::remove(path);
}

TEST(TextJob, StopsWhenAskedTo) {
  int asked = 0;
  const auto out = run_text_job(
      token_job(), [](std::string_view) {}, [&] { return ++asked == 3; });
  ASSERT_TRUE(out);
  EXPECT_TRUE(out->interrupted);
  EXPECT_EQ(out->generation.tokens.size(), 3u);
}

TEST(TextJob, TextOfTheModelThatShips) {
  TextJob job{.model = kScribe, .prompt = "Question: 2 + 3 = ?", .raw = true, .backend = "cpu"};
  job.max_new_tokens = 12;
  std::string first, again;
  const auto out = quietly(job, &first);
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_FALSE(first.empty());
  ASSERT_TRUE(quietly(job, &again));
  EXPECT_EQ(first, again);
}

TEST(TextJob, MistakesAreNamed) {
  const auto kind = [](TextJob job) {
    const auto out = quietly(job);
    EXPECT_FALSE(out);
    return out ? ErrorKind::kFailed : out.error().kind;
  };
  TextJob job = token_job();
  job.kv = "int5-quanto";
  EXPECT_EQ(kind(job), ErrorKind::kUsage);
  job = token_job();
  job.backend = "tpu";
  EXPECT_EQ(kind(job), ErrorKind::kUsage);
  job = token_job();
  job.model += "-missing";
  EXPECT_EQ(kind(job), ErrorKind::kInput);
  job = token_job();
  job.token_ids.clear();  // a prompt, but this checkpoint has no tokenizer
  job.prompt = "hello";
  EXPECT_EQ(kind(job), ErrorKind::kInput);
  job = {.model = kScribe, .prompt = "", .raw = true, .backend = "cpu"};
  EXPECT_EQ(kind(job), ErrorKind::kUsage);
  job = token_job();
  job.logits_file = "/proc/no/such/place.safetensors";
  EXPECT_EQ(kind(job), ErrorKind::kMachine);
}

}  // namespace
}  // namespace kvtoll
