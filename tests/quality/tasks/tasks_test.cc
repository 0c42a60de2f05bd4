// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "kvtoll/quality/tasks/arith.h"
#include "kvtoll/quality/tasks/facts.h"
#include "kvtoll/quality/tasks/task_lines.h"

namespace kvtoll {
namespace {

TEST(Arith, TextIsTheOneTheModelsWereTrainedOn) {
  const ArithProblem problem{1, 47, {38, -15, 99, -80}};
  EXPECT_EQ(arith_prompt(problem),
            "Start with 47 and apply the steps modulo 100.\n01:+38 02:-15 03:+99 04:-80");
  EXPECT_EQ(arith_solution(problem),
            "<think>\n01:+38 47+38=85\n02:-15 85-15=70\n03:+99 70+99=69\n04:-80 "
            "69-80=89\n</think>\n\\boxed{89}");
  EXPECT_EQ(arith_answer(problem), 89);
}

TEST(Arith, LevelsTakeTurnsAndItemsRepeatBySeed) {
  const auto a = arith_items(TaskSplit::kTest, 25, 3), b = arith_items(TaskSplit::kTest, 25, 3);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].prompt, b[i].prompt);
    EXPECT_EQ(a[i].level, 1 + static_cast<int>(i) % 5);
  }
  EXPECT_NE(arith_items(TaskSplit::kTest, 1, 4)[0].prompt, a[0].prompt);
}

template <class Items>
void expect_disjoint(Items items) {
  std::set<std::string> seen;
  size_t total = 0;
  for (TaskSplit split : {TaskSplit::kTrain, TaskSplit::kValidation, TaskSplit::kTest})
    for (uint64_t seed : {0, 1}) {
      for (const TaskItem& item : items(split, 200, seed))
        seen.insert(std::to_string(int(split)) + item.prompt);
    }
  std::set<std::string> prompts;
  for (const std::string& s : seen) prompts.insert(s.substr(1)), ++total;
  EXPECT_EQ(prompts.size(), total) << "a question stands in two splits";
}

TEST(Tasks, SplitsNeverOverlap) {
  expect_disjoint([](TaskSplit s, int n, uint64_t seed) { return arith_items(s, n, seed); });
  expect_disjoint([](TaskSplit s, int n, uint64_t seed) { return facts_items(s, n, seed); });
}

TEST(Facts, TheRightOptionIsTheFact) {
  for (const TaskItem& item : facts_items(TaskSplit::kTest, 100, 0)) {
    const size_t line = item.prompt.find("\n" + item.answer + ". ");
    ASSERT_NE(line, std::string::npos);
    const std::string value =
        item.prompt.substr(line + 4, item.prompt.find('\n', line + 1) - line - 4);
    bool found = false;
    for (int r = 0; r < kFactRelations && !found; ++r)
      for (int c = 0; c < kFactCountries && !found; ++c) {
        const std::string fact = fact_statement(c, r);  // "The capital of X is Y."
        const std::string question = item.prompt.substr(8, item.prompt.find('?') - 8);
        found = fact == "The" + question.substr(question.find(' ')) + " is " + value + ".";
      }
    EXPECT_TRUE(found) << item.prompt;
  }
}

TEST(TaskLines, OneQuestionALineAndRefusalsByName) {
  const auto lines = task_lines("arith", "test", 3, 0);
  ASSERT_TRUE(lines);
  EXPECT_EQ(std::count(lines->begin(), lines->end(), '\n'), 3);
  EXPECT_NE(lines->find("\"id\":\"arith-test-0-2\""), std::string::npos);
  const auto facts = task_lines("facts-statements", "train", 1000, 0);
  ASSERT_TRUE(facts);
  EXPECT_EQ(std::count(facts->begin(), facts->end(), '\n'), kFactCountries * kFactRelations);
  EXPECT_EQ(task_lines("math", "test", 1, 0).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(task_lines("arith", "dev", 1, 0).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(task_lines("arith", "test", 0, 0).error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace kvtoll
