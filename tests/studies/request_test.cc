// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvtoll::studies {
namespace {

using ::testing::HasSubstr;

RunRequest model_alone(std::string backend) {
  RunRequest request;
  request.backend = std::move(backend);
  request.models = {"m=synthetic:tiny-llama"};
  return request;
}

RunRequest tiny() {
  RunRequest request = model_alone("cpu");
  request.kv = "fp16,int4-quanto:group=32,axis=-1";
  request.new_tokens = "8,16";
  return request;
}

std::string error_of(const RunRequest& request) {
  const auto run = prepare_run(request);
  return run ? "no error" : run.error().message;
}

TEST(Request, OptionsAloneMeanWhatTheySay) {
  RunRequest request = tiny();
  request.residual = "16";
  request.batch = "1,2";
  const auto run = prepare_run(request);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->logical, 8);
  EXPECT_EQ(run->blocks.size(), 4u);
  EXPECT_EQ(run->blocks[3].formats[1].file(),
            "m.int4-quanto%3Agroup=32,axis=-1.n16.r16.b2.cpu.json");
}

TEST(Request, AModelAloneIsMeasuredInTheUsualFormats) {
  RunRequest request = model_alone("cpu");
  const auto run = prepare_run(request);
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_EQ(run->blocks.size(), 1u);
  ASSERT_EQ(run->blocks[0].formats.size(), 3u);
  EXPECT_EQ(run->blocks[0].formats[1].file(), "m.int8-hqq.n256.r128.cpu.json");
}

TEST(Request, TheExactCacheOfAModelAloneHasTheDtypeOfTheRun) {
  RunRequest request = model_alone("cuda");
  request.dtype = "bf16";
  const auto run = prepare_run(request);
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_EQ(run->blocks.size(), 2u);
  EXPECT_EQ(run->blocks[0].formats[0].file(), "m.bf16.n256.r128.hf.json");
  EXPECT_EQ(run->blocks[0].formats[1].file(), "m.int8-hqq.n256.r128.hf.json");
  EXPECT_EQ(run->blocks[1].formats[0].file(), "m.bf16.n256.r128.fused.json");
}

TEST(Request, AModelAloneShowsBothPathsOfAGpu) {
  RunRequest request = model_alone("cuda");
  const auto run = prepare_run(request);
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_EQ(run->blocks.size(), 2u);
  EXPECT_EQ(run->blocks[0].formats[0].file(), "m.fp16.n256.r128.hf.json");
  ASSERT_EQ(run->blocks[1].formats.size(), 1u);
  EXPECT_EQ(run->blocks[1].formats[0].file(), "m.fp16.n256.r128.fused.json");
  request.launch = "eager";  // what is named is all there is
  EXPECT_EQ(prepare_run(request)->blocks.size(), 1u);
}

TEST(Request, WithoutAnythingItIsTheDemo) {
  RunRequest request;
  request.backend = "cpu";
  const auto run = prepare_run(request);
  ASSERT_TRUE(run) << run.error().message;
  EXPECT_EQ(run->study.name, "demo");
  EXPECT_EQ(run->logical, 34);
  EXPECT_EQ(run->evals.size(), 12u);
}

TEST(Request, OnlyAndShardPickFromBlocksAndEvaluations) {
  RunRequest request;
  request.study = "demo";
  request.backend = "cpu";
  request.only = "accuracy/facts.*";
  const auto questions = prepare_run(request);
  ASSERT_TRUE(questions) << questions.error().message;
  EXPECT_TRUE(questions->blocks.empty());
  EXPECT_EQ(questions->evals.size(), 6u);
  EXPECT_EQ(questions->whole_accuracy.size(), 12u);  // completeness is about the whole study
  request.only = "";
  size_t blocks = 0, evals = 0;
  for (const char* shard : {"1/3", "2/3", "3/3"}) {
    request.shard = shard;
    const auto run = prepare_run(request);
    ASSERT_TRUE(run);
    blocks += run->blocks.size();
    evals += run->evals.size();
  }
  EXPECT_EQ(blocks, 12u);
  EXPECT_EQ(evals, 12u);
}

// A study's questions, fewer of them: other files than the whole study's.
TEST(Request, LimitCutsEveryEvaluation) {
  RunRequest request{.study = "int4-ablation", .backend = "cpu", .limit = 3};
  request.results = ::testing::TempDir() + "limit";
  const auto few = prepare_run(request);
  ASSERT_TRUE(few) << few.error().message;
  for (const EvalJob& job : few->evals) {
    EXPECT_EQ(job.config.limit, 3);
    EXPECT_NE(job.file.find(".l3."), std::string::npos) << job.file;
  }
  request.limit = 1000;  // no more than the study asks
  const auto whole = prepare_run(request);
  ASSERT_TRUE(whole);
  for (const EvalJob& job : whole->evals) EXPECT_EQ(job.config.limit, 12);
}

TEST(Request, WrongWordsAreUsageErrorsThatHelp) {
  RunRequest request = tiny();
  request.new_tokens = "8,x";
  EXPECT_THAT(error_of(request), HasSubstr("\"x\" is not a whole number"));
  request = tiny();
  request.study = "core";
  EXPECT_THAT(error_of(request), HasSubstr("without a study"));
  request = tiny();
  request.backend = "cpuu";
  EXPECT_THAT(error_of(request), HasSubstr("did you mean \"cpu\"?"));
  request = tiny();
  request.attention = "fuse";
  EXPECT_THAT(error_of(request), HasSubstr("did you mean \"fused\"?"));
  request = tiny();
  request.dtype = "fp8";
  EXPECT_THAT(error_of(request), HasSubstr("fp16, bf16, fp32"));
  request = tiny();
  request.kv = "int4-quant";
  EXPECT_THAT(error_of(request), HasSubstr("int4-quanto"));
  request = tiny();
  request.order = "random";
  EXPECT_EQ(prepare_run(request).error().kind, ErrorKind::kUsage);
}

TEST(Request, AModelThatIsNotThereIsAnErrorBeforeAnythingRuns) {
  RunRequest request = tiny();
  request.models = {"m=/no/such/model"};
  const auto run = prepare_run(request);
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().kind, ErrorKind::kInput);
  RunRequest questions{.study = "accuracy", .backend = "cpu"};
  questions.models = {"scribe=/no/such/model"};
  const auto asked = prepare_run(questions);
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().kind, ErrorKind::kInput);
}

}  // namespace
}  // namespace kvtoll::studies
