// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/record_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "kvtoll/studies/progress.h"
#include "kvtoll/studies/prompt.h"

namespace kvtoll::studies {
namespace {

using ::testing::ElementsAre;

// Steps of exactly 1000 + 2 * context ns, the last one a flush of 50 us.
TimedRun made_run(int64_t round, int64_t steps) {
  TimedRun run{round, Nanoseconds(1000 * round), {}};
  run.timing.prefill = Nanoseconds(2'000'000);
  for (int64_t i = 0; i < steps; ++i)
    run.timing.steps.push_back({128 + i, Nanoseconds(0), Nanoseconds(1000 + 2 * (128 + i)), false});
  run.timing.steps.back().flushed = true;
  run.timing.steps.back().time = Nanoseconds(50'000);
  return run;
}

TEST(RecordParts, TimingBecomesThroughputAndAFit) {
  report::RunRecord record;
  record.config.batch = 2;
  record.config.new_tokens = 11;
  record.config.prompt_tokens = 128;
  fill_timing(record, {made_run(0, 10), made_run(1, 10)});
  ASSERT_EQ(record.runs.size(), 2u);
  int64_t decode = 50'000;
  for (int64_t i = 0; i < 9; ++i) decode += 1000 + 2 * (128 + i);
  EXPECT_EQ(record.runs[0].decode_ns, decode);
  EXPECT_NEAR(record.throughput.decode_tok_s.mean, 2 * 10 * 1e9 / static_cast<double>(decode),
              1e-6);
  EXPECT_NEAR(record.throughput.prefill_tok_s.mean, 2 * 128 / 2e-3, 1e-6);
  EXPECT_NEAR(record.throughput.ttft_ms.mean, 2.0, 1e-12);
  EXPECT_THAT(record.runs[1].flush_steps, ElementsAre(9));
  EXPECT_EQ(record.step_latency.flush_steps, 2);
  EXPECT_EQ(record.step_latency.append_steps, 18);
  EXPECT_EQ(record.step_latency.max_ns, 50'000);
  EXPECT_NEAR(*record.step_latency.flush_mean_ns, 50'000, 1e-9);
  EXPECT_NEAR(record.step_latency.fit_append.slope_ns_per_token, 2.0, 1e-9);
  EXPECT_NEAR(record.step_latency.fit_append.intercept_ns, 1000.0, 1e-6);
  EXPECT_GT(record.step_latency.fit.slope_ns_per_token, 2.0);  // the flush is in this one
}

TEST(RecordParts, OneStepHasNoSlope) {
  report::RunRecord record;
  record.config = {.new_tokens = 2, .batch = 1, .prompt_tokens = 8};
  fill_timing(record, {made_run(0, 1)});
  EXPECT_EQ(record.step_latency.fit.slope_ns_per_token, 0.0);
  EXPECT_EQ(record.step_latency.fit.intercept_ns, 50'000.0);
}

TEST(RecordParts, MemorySplitKeepsItsTags) {
  MemorySplit split;
  split[MemoryTag::kWeights] = Bytes(1);
  split[MemoryTag::kKvPayload] = Bytes(10);
  split[MemoryTag::kKvScales] = Bytes(100);
  split[MemoryTag::kKvResidual] = Bytes(1000);
  split[MemoryTag::kWorkspace] = Bytes(10000);
  const auto m = memory_fields(split, split, Bytes(7));
  EXPECT_EQ(m.weights_bytes, 1);
  EXPECT_EQ(m.kv_bytes, 1110);
  EXPECT_EQ(m.peak_bytes, 11111);
  EXPECT_EQ(m.framework_bytes, 7);
}

TEST(Prompt, IsTheSameEveryTimeAndFitsTheVocabulary) {
  const Prompt a = fixed_prompt("synthetic:tiny-llama", 50, 300);
  const Prompt b = fixed_prompt("synthetic:tiny-qwen2", 50, 300);
  EXPECT_EQ(a.kind, "seeded");
  EXPECT_EQ(a.tokens, b.tokens);
  ASSERT_EQ(a.tokens.size(), 300u);
  for (const int32_t id : a.tokens) EXPECT_TRUE(id >= 0 && id < 50);
  const std::string scribe = std::string(KVTOLL_SOURCE_DIR) + "/models/scribe";
  if (!std::filesystem::exists(scribe)) GTEST_SKIP() << "no models/scribe";
  const Prompt text = fixed_prompt(scribe, 512, 500);
  EXPECT_EQ(text.kind, "text") << text.warning;
  EXPECT_EQ(text.tokens.size(), 500u);
}

TEST(Progress, SaysWhatIsDoneAndWhatIsLeft) {
  std::FILE* out = std::tmpfile();
  {
    Progress progress(2, 20, Progress::Style::kPlain, out);
    progress.phase("a", "run 1/1");
    for (int i = 0; i < 10; ++i) progress.step(1);
    EXPECT_FALSE(progress.time_left().empty());
    progress.finish("a", "ok");
    progress.finish("b", "failed: why");
  }
  std::rewind(out);
  char text[256] = {};
  const size_t n = std::fread(text, 1, sizeof text - 1, out);
  std::fclose(out);
  EXPECT_THAT(std::string(text, n), ::testing::StartsWith("[1/2] a  ok  ("));
  EXPECT_THAT(std::string(text, n), ::testing::EndsWith("[2/2] b  failed: why\n"));
  EXPECT_EQ(duration_text(65), "1:05");
  EXPECT_EQ(duration_text(7380), "2 h 03");
}

}  // namespace
}  // namespace kvtoll::studies
