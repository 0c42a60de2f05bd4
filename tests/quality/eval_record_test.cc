// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/eval_record.h"

#include <gtest/gtest.h>

#include <fstream>

#include "kvtoll/core/files.h"
#include "kvtoll/quality/compare_answers.h"
#include "kvtoll/quality/validate_answers.h"

namespace kvtoll {
namespace {

namespace fs = std::filesystem;

fs::path scratch(const std::string& name) {
  const fs::path folder = fs::path(testing::TempDir()) / ("kvtoll_eval_" + name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

AnswerRecord answer(const std::string& id, const std::string& gold, const std::string& output) {
  AnswerRecord a;
  a.id = id;
  a.gold = gold;
  a.output = output;
  a.prompt_hash = "hash" + id;
  a.new_tokens = 10;
  a.quantized_tokens = 9;
  a.stopped = true;
  grade_answer("math", "generate", a);
  return a;
}

EvalRecord record_of(const std::vector<AnswerRecord>& answers) {
  EvalRecord record;
  EvalConfig config{
      .task = "math", .model_name = "m", .model = "m", .kv = "int4-quanto", .mode = "generate"};
  describe(config, {.name = "cpu", .device = "test"}, DType::kF16, "simple", record);
  for (const AnswerRecord& a : answers) record.ids.push_back(a.id);
  record.answers = answers;
  return record;
}

TEST(GradeAnswer, CutOffIsCountedApart) {
  AnswerRecord a;
  a.gold = "2";
  a.output = "<think> long";
  a.stopped = false;
  grade_answer("math", "generate", a);
  EXPECT_TRUE(a.truncated);
  EXPECT_FALSE(a.grade.lenient);
  a.output = "<think> x</think> \\boxed{2} and on";
  grade_answer("math", "generate", a);
  EXPECT_FALSE(a.truncated);
  EXPECT_TRUE(a.grade.lenient);
  a.output = "\\boxed{02}";
  grade_answer("arith", "generate", a);
  EXPECT_FALSE(a.grade.lenient);  // arith is graded as text
}

TEST(EvalRecord, ReadsBackWhatItWrote) {
  const fs::path file = scratch("roundtrip") / "a.json";
  EvalRecord record = record_of({answer("q1", "\\frac12", "so \\boxed{0.5}"),
                                 answer("q2", "3", "bad \xff bytes \\boxed{4}")});
  record.answers[0].letter_logp = {-0.1, -2.5, -3.0000000000000004, -4};
  ASSERT_TRUE(write_file_atomic(file, eval_record_text(record)));
  const auto back = read_eval_record(file);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(eval_record_text(*back), *read_file(file));
  EXPECT_EQ(back->answers[0].letter_logp, record.answers[0].letter_logp);
  EXPECT_EQ(back->accuracy(GradePolicy::kLenient).correct, 1);
  EXPECT_EQ(back->accuracy(GradePolicy::kLenient).total, 2);
  EXPECT_EQ(config_field(*back, "kv"), "int4-quanto");
  EXPECT_TRUE(validate_eval_file(file).empty());
}

TEST(EvalRecord, RefusesOtherFiles) {
  const fs::path folder = scratch("refuse");
  ASSERT_TRUE(write_file_atomic(folder / "a.json", "{\"schema\": \"other/1\"}"));
  EXPECT_EQ(read_eval_record(folder / "a.json").error().kind, ErrorKind::kInput);
  ASSERT_TRUE(write_file_atomic(folder / "b.json", "{\"schema\": \"kvtoll.eval/1\"}"));
  EXPECT_FALSE(read_eval_record(folder / "b.json"));
  EXPECT_FALSE(read_eval_record(folder / "none.json"));
}

TEST(Checkpoint, SurvivesALineThatWasCutOff) {
  const fs::path file = scratch("checkpoint") / "x.partial";
  ASSERT_TRUE(start_checkpoint(file, "k1"));
  ASSERT_TRUE(append_answer(file, answer("q1", "1", "\\boxed{1}"), 5));
  ASSERT_TRUE(append_answer(file, answer("q2", "2", "\\boxed{2}"), 7));
  std::ofstream(file, std::ios::app) << "{\"id\": \"q3\", \"outp";
  auto left = open_checkpoint_file(file, "k1");
  ASSERT_TRUE(left);
  EXPECT_EQ(left->answers.size(), 2u);
  EXPECT_EQ(left->elapsed_ns, 7);
  ASSERT_TRUE(append_answer(file, answer("q3", "3", "\\boxed{3}"), 9));
  left = open_checkpoint_file(file, "k1");
  ASSERT_EQ(left->answers.size(), 3u);
  EXPECT_EQ(left->answers[2].id, "q3");
  // Another configuration's checkpoint is not taken over.
  EXPECT_TRUE(open_checkpoint_file(file, "k2")->answers.empty());
  EXPECT_FALSE(fs::exists(file));
}

TEST(Validate, FindsMissingDuplicateAndInconsistentAnswers) {
  const fs::path folder = scratch("validate");
  auto problems = [&](const EvalRecord& record) {
    EXPECT_TRUE(write_file_atomic(folder / "a.json", eval_record_text(record)));
    return validate_eval_file(folder / "a.json");
  };
  const EvalRecord good =
      record_of({answer("q1", "1", "\\boxed{1}"), answer("q2", "2", "\\boxed{2}")});
  EXPECT_TRUE(problems(good).empty());
  EvalRecord bad = good;
  bad.answers.pop_back();
  ASSERT_EQ(problems(bad).size(), 1u);
  EXPECT_NE(problems(bad)[0].find("q2 sample 0 is missing"), std::string::npos);
  bad = good;
  bad.answers.push_back(bad.answers[0]);
  EXPECT_NE(problems(bad)[0].find("answered 2 times"), std::string::npos);
  bad = good;
  bad.answers[0].grade.lenient = false;
  EXPECT_NE(problems(bad)[0].find("verdict"), std::string::npos);
  std::string text = eval_record_text(good);
  text.replace(text.find("\"correct\": 2"), 12, "\"correct\": 1");
  ASSERT_TRUE(write_file_atomic(folder / "a.json", text));
  EXPECT_EQ(validate_eval_file(folder / "a.json").size(), 1u);
  ASSERT_TRUE(regrade_file(folder / "a.json"));
  EXPECT_TRUE(validate_eval_file(folder / "a.json").empty());
  EvalRecord other = good;
  other.answers[0].gold = "7";
  grade_answer("math", "generate", other.answers[0]);
  ASSERT_TRUE(write_file_atomic(folder / "b.json", eval_record_text(other)));
  EXPECT_EQ(validate_eval_folder(folder).problems.size(), 1u);
  EXPECT_EQ(validate_eval_folder(folder).records, 2u);
}

TEST(Compare, PairsQuestionsAndNamesNoise) {
  std::vector<AnswerRecord> a, b;
  for (int i = 0; i < 100; ++i) {
    const std::string id = "q" + std::to_string(i);
    a.push_back(answer(id, "1", i < 69 ? "\\boxed{1}" : "\\boxed{2}"));
    b.push_back(answer(id, "1", i >= 4 && i < 71 ? "\\boxed{1}" : "\\boxed{2}"));
  }
  const auto c = compare_answers(record_of(a), record_of(b));
  ASSERT_TRUE(c);
  EXPECT_EQ(c->paired, 100);
  EXPECT_EQ(c->a_right, 4);
  EXPECT_EQ(c->b_right, 2);
  EXPECT_NEAR(c->difference, -0.02, 1e-12);
  EXPECT_NEAR(c->p, 0.6875, 1e-9);
  EXPECT_NE(c->text().find("no difference beyond noise"), std::string::npos) << c->text();
  for (AnswerRecord& x : b) x.grade = {};
  const auto lost = compare_answers(record_of(a), record_of(b));
  EXPECT_TRUE(lost->significant());
  EXPECT_NE(lost->text().find("worse"), std::string::npos);
  b[3].prompt_hash = "other";
  EXPECT_FALSE(compare_answers(record_of(a), record_of(b)));
}

// Ten samples of one question are one question.
TEST(Compare, SamplesOfAQuestionAreNotQuestions) {
  std::vector<AnswerRecord> a, b;
  for (int sample = 0; sample < 10; ++sample) {
    a.push_back(answer("q", "1", "\\boxed{1}"));
    b.push_back(answer("q", "1", "\\boxed{2}"));
    a.back().sample = b.back().sample = sample;
  }
  const auto c = compare_answers(record_of(a), record_of(b));
  ASSERT_TRUE(c);
  EXPECT_EQ(c->paired, 10);
  EXPECT_EQ(c->a_right, 10);
  EXPECT_EQ(c->p, 1.0);
  EXPECT_FALSE(c->significant());
}

}  // namespace
}  // namespace kvtoll
