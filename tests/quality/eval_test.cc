// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// On the small model that ships with the project.
#include "kvtoll/quality/eval.h"

#include <gtest/gtest.h>

#include <set>

#include "kvtoll/core/files.h"
#include "kvtoll/quality/validate_answers.h"
#include "support/temporary_folder.h"

namespace kvtoll {
namespace {

EvalConfig scribe(const std::string& task, const std::filesystem::path& results) {
  EvalConfig config{.task = task, .model = KVTOLL_SOURCE_DIR "/models/scribe", .kv = "int4-quanto"};
  config.backend = "cpu";
  config.options.threads = 1;
  config.results = results;
  config.limit = 12;
  return config;
}

std::set<std::string> ids(const EvalRecord& record) {
  std::set<std::string> out;
  for (const AnswerRecord& answer : record.answers) out.insert(answer.id);
  return out;
}

TEST(RunEval, AnInterruptedRunGoesOnWithoutAskingTwice) {
  const kvtoll::testing::TemporaryFolder folder;
  const EvalConfig config = scribe("facts", folder.path());
  int64_t done = 0;
  const EvalHooks hooks{.progress = [&](const EvalProgress& p) { done = p.done; },
                        .stop = [&] { return done >= 5; }};
  const auto first = run_eval(config, hooks);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().kind, ErrorKind::kInterrupted) << first.error().message;
  const int64_t kept = done;
  EXPECT_LT(kept, 12);
  EXPECT_FALSE(validate_eval_folder(folder.path() / "accuracy").problems.empty());  // cut off

  int64_t asked = 0;
  const auto second = run_eval(config, {.progress = [&](const EvalProgress&) { ++asked; }});
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->resumed, kept);
  EXPECT_EQ(asked, 12 - kept);
  EXPECT_EQ(ids(second->record).size(), 12u);
  EXPECT_EQ(second->record.answers.size(), 12u);
  EXPECT_TRUE(validate_eval_folder(folder.path() / "accuracy").problems.empty());

  const auto third = run_eval(config, {});
  ASSERT_TRUE(third);
  EXPECT_TRUE(third->was_finished);

  const kvtoll::testing::TemporaryFolder fresh;
  const auto whole = run_eval(scribe("facts", fresh.path()), {});
  ASSERT_TRUE(whole);
  ASSERT_EQ(whole->record.answers.size(), 12u);
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(whole->record.answers[i].id, second->record.answers[i].id);
    EXPECT_EQ(whole->record.answers[i].output, second->record.answers[i].output);
  }
}

TEST(RunEval, SaysHowManyTokensQuantizedValuesDecided) {
  const kvtoll::testing::TemporaryFolder folder;
  EvalConfig config = scribe("facts", folder.path());
  config.limit = 3;
  const auto exact = run_eval(config, {});
  ASSERT_TRUE(exact) << exact.error().message;
  for (const AnswerRecord& a : exact->record.answers) {
    EXPECT_EQ(a.new_tokens, 1);
    EXPECT_EQ(a.quantized_tokens, 0);  // the letter comes from the exact prefill
    EXPECT_EQ(a.prompt_hash.size(), 16u);
  }
  config.options.prefill = Prefill::kQuantized;
  const auto quantized = run_eval(config, {});
  ASSERT_TRUE(quantized) << quantized.error().message;
  EXPECT_NE(exact->file, quantized->file);
  for (const AnswerRecord& a : quantized->record.answers) EXPECT_EQ(a.quantized_tokens, 1);
}

TEST(RunEval, AReplyThatHitsTheLimitIsTruncated) {
  const kvtoll::testing::TemporaryFolder folder;
  EvalConfig config = scribe("arith", folder.path());
  config.limit = 2;
  config.max_new_tokens = 20;
  config.batch = 2;
  const auto summary = run_eval(config, {});
  ASSERT_TRUE(summary) << summary.error().message;
  const Accuracy accuracy = summary->record.accuracy(GradePolicy::kLenient);
  EXPECT_EQ(accuracy.truncated, 2);
  EXPECT_EQ(accuracy.correct, 0);
  for (const AnswerRecord& a : summary->record.answers) {
    EXPECT_EQ(a.new_tokens, 20);
    EXPECT_EQ(a.quantized_tokens, 19);
  }
}

// The letter never reads what is stored, so nothing is; what the library refuses stays refused.
TEST(RunEval, AShapeThatTheFormatRefusesIsUnsupported) {
  const kvtoll::testing::TemporaryFolder folder;
  EvalConfig config = scribe("facts", folder.path());
  config.kv = "int3-hqq:axis=1";
  const auto summary = run_eval(config, {});
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->record.status, "unsupported");
  EXPECT_NE(summary->record.reason.find("axis=0"), std::string::npos) << summary->record.reason;
}

// A refusal while answers are on their way is a result, too: it stands, and nothing is left over.
TEST(RunEval, ARefusalIsNotAskedAgain) {
  const kvtoll::testing::TemporaryFolder folder;
  EvalConfig config = scribe("arith", folder.path());
  config.kv = "int4-quanto:axis=-1";
  config.limit = 2;
  const auto refused = run_eval(config, {});
  ASSERT_TRUE(refused) << refused.error().message;
  EXPECT_EQ(refused->record.status, "unsupported");
  const auto again = run_eval(config, {});
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->was_finished);
  EXPECT_EQ(again->record.reason, refused->record.reason);
  EXPECT_TRUE(validate_eval_folder(folder.path() / "accuracy").problems.empty());
}

TEST(RunEval, FormatsThatShareAModelAnswerAsIfAlone) {
  const kvtoll::testing::TemporaryFolder together, alone;
  EvalModel model;
  const Backend* first = nullptr;
  for (const char* kv : {"fp16", "int4-quanto", "fp16/int8-hqq"}) {
    EvalConfig config = scribe("arith", together.path());
    config.limit = 3;
    config.max_new_tokens = 150;
    config.residual = 32;
    config.kv = kv;
    const auto shared = run_eval(config, {}, model);
    if (!first) first = &model.backend();
    EXPECT_EQ(&model.backend(), first) << "the weights were loaded again";
    config.results = alone.path();
    const auto own = run_eval(config, {});
    ASSERT_TRUE(shared && own);
    ASSERT_EQ(shared->record.answers.size(), 3u);
    for (size_t i = 0; i < 3; ++i)
      EXPECT_EQ(shared->record.answers[i].output, own->record.answers[i].output) << kv;
  }
}

// A sampled reply depends on its question and sample, not on what runs beside it.
TEST(RunEval, SampledRepliesDoNotDependOnTheBatch) {
  std::vector<std::string> outputs;
  for (int batch : {1, 3}) {
    const kvtoll::testing::TemporaryFolder folder;
    EvalConfig config = scribe("arith", folder.path());
    config.limit = 2;
    config.samples = 2;
    config.sampling = {.temperature = 2.5, .seed = 3};
    config.max_new_tokens = 12;
    config.batch = batch;
    const auto summary = run_eval(config, {});
    ASSERT_TRUE(summary) << summary.error().message;
    ASSERT_EQ(summary->record.answers.size(), 4u);
    std::string all;
    for (const AnswerRecord& a : summary->record.answers) all += a.output + "|";
    EXPECT_NE(summary->record.answers[0].output, summary->record.answers[1].output);
    outputs.push_back(all);
  }
  EXPECT_EQ(outputs[0], outputs[1]);
}

TEST(RunEval, WrongWordsAreUsageErrors) {
  auto kind = [](EvalConfig config) {
    config.model = KVTOLL_SOURCE_DIR "/models/scribe";
    const auto result = run_eval(config, {});
    return result ? ErrorKind::kFailed : result.error().kind;
  };
  EXPECT_EQ(kind({.task = "poetry"}), ErrorKind::kUsage);
  EXPECT_EQ(kind({.task = "math"}), ErrorKind::kUsage);  // no data
  EXPECT_EQ(kind({.task = "facts", .mode = "cot"}), ErrorKind::kUsage);
  EXPECT_EQ(kind({.task = "arith", .samples = 4}), ErrorKind::kUsage);
  EXPECT_EQ(kind({.task = "arith", .kv = "int5-nothing"}), ErrorKind::kUsage);
  EXPECT_EQ(kind({.task = "math", .data = "/nowhere/at/all.jsonl"}), ErrorKind::kInput);
}

TEST(EvalFileName, NamesOnlyWhatDiffersFromTheDefault) {
  EvalConfig config{.task = "arith", .model = "a=b/c", .kv = "int4-quanto:group=32"};
  config.backend = "cpu";
  auto complete = complete_config(config);
  ASSERT_TRUE(complete);
  EXPECT_EQ(eval_file_name(*complete), "arith.a.int4-quanto%3Agroup=32.r128.cpu.json");
  config.limit = 100;
  config.options.prefill = Prefill::kQuantized;
  config.sampling.temperature = 0.6;
  config.samples = 4;
  config.residual = 32;
  config.backend = "cuda";
  complete = complete_config(config);
  ASSERT_TRUE(complete);
  EXPECT_EQ(eval_file_name(*complete),
            "arith.a.int4-quanto%3Agroup=32.r32.l100.quantized.t0.6.k4.fused.json");
  std::string name, spec;
  split_model("models/scribe/", name, spec);
  EXPECT_EQ(name, "scribe");
  split_model("/x/y/z.gguf", name, spec);
  EXPECT_EQ(name, "z");
}

// Values come the quickest way, unless Hugging Face's own work is asked for.
TEST(ValuesOptions, ChooseTheBackendsQuickestPath) {
  const BackendOptions cpu = values_options({}, {}, "cpu"), cuda = values_options({}, {}, "cuda");
  EXPECT_EQ(engine_path(cpu, "cpu"), "cpu");
  EXPECT_TRUE(cpu.keep_decoded);
  EXPECT_EQ(engine_path(cuda, "cuda"), "fused");
  EXPECT_TRUE(cuda.keep_decoded);
  const auto hf = values_options({}, {.attention = Attention::kMaterialize}, "cuda");
  EXPECT_EQ(engine_path(hf, "cuda"), "hf");
  EXPECT_FALSE(hf.keep_decoded);
  EXPECT_EQ(engine_path(values_options({}, {.launch = Launch::kEager}, "cuda"), "cuda"),
            "fused-eager");
}

}  // namespace
}  // namespace kvtoll
