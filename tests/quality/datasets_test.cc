// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/datasets.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "kvtoll/core/files.h"
#include "kvtoll/quality/csv.h"

namespace kvtoll {
namespace {

namespace fs = std::filesystem;

fs::path scratch(const std::string& name) {
  const fs::path folder = fs::path(testing::TempDir()) / ("kvtoll_datasets_" + name);
  fs::remove_all(folder);
  return folder;
}

TEST(Csv, QuotesCommasAndLineEndsInsideFields) {
  const auto rows = parse_csv("a,\"b,\"\"c\"\"\",\"two\nlines\"\r\n1,,3\n\"last\",x,", "t.csv");
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 3u);
  EXPECT_EQ((*rows)[0], (std::vector<std::string>{"a", "b,\"c\"", "two\nlines"}));
  EXPECT_EQ((*rows)[1], (std::vector<std::string>{"1", "", "3"}));
  EXPECT_EQ((*rows)[2], (std::vector<std::string>{"last", "x", ""}));
  EXPECT_TRUE(parse_csv("", "t.csv")->empty());
}

TEST(Csv, NamesTheLineOfABrokenQuote) {
  const auto open = parse_csv("a,b\nc,\"never", "t.csv");
  ASSERT_FALSE(open);
  EXPECT_EQ(open.error().message, "t.csv:2: a quoted field never closes");
  EXPECT_FALSE(parse_csv("\"a\"b,c\n", "t.csv"));
}

TEST(Math, ReadsJsonlAndTheOriginalFolders) {
  const fs::path folder = scratch("math");
  ASSERT_TRUE(write_file_atomic(
      folder / "m.jsonl",
      R"({"problem": "1+1?", "answer": "2", "subject": "Algebra", "level": 3, "unique_id": "a/1"})"
      "\n\n"
      R"({"problem": "half?", "solution": "It is $\\boxed{\\frac{1}{2}}$.", "level": "Level 5"})"
      "\n"));
  const auto lines = load_math(folder / "m.jsonl");
  ASSERT_TRUE(lines) << lines.error().message;
  ASSERT_EQ(lines->questions.size(), 2u);
  EXPECT_EQ(lines->questions[0].id, "a/1");
  EXPECT_EQ(lines->questions[1].answer, "\\frac{1}{2}");
  EXPECT_EQ(lines->questions[1].level, 5);

  ASSERT_TRUE(write_file_atomic(
      folder / "test/algebra/7.json",
      R"({"problem": "p", "level": "Level 2", "type": "Algebra", "solution": "\\boxed{4}"})"));
  const auto tree = load_math(folder / "test");
  ASSERT_TRUE(tree) << tree.error().message;
  EXPECT_EQ(tree->questions[0].id, "algebra/7.json");
  EXPECT_EQ(tree->questions[0].group, "Algebra");
  EXPECT_EQ(tree->questions[0].answer, "4");
}

TEST(Math, BadFilesNameThePlace) {
  const fs::path folder = scratch("bad");
  ASSERT_TRUE(write_file_atomic(folder / "m.jsonl", "{\"problem\": \"x\"}\n"));
  const auto missing = load_math(folder / "m.jsonl");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message.find("m.jsonl:1"), std::string::npos);
  EXPECT_EQ(missing.error().kind, ErrorKind::kInput);
  ASSERT_TRUE(write_file_atomic(folder / "n.jsonl", "not json\n"));
  EXPECT_FALSE(load_math(folder / "n.jsonl"));
  ASSERT_TRUE(write_file_atomic(folder / "e.jsonl", "\n"));
  EXPECT_FALSE(load_math(folder / "e.jsonl"));
  EXPECT_FALSE(load_math(folder / "none.jsonl"));
  ASSERT_TRUE(write_file_atomic(folder / "d.jsonl",
                                "{\"problem\":\"x\",\"answer\":\"1\",\"unique_id\":\"i\"}\n"
                                "{\"problem\":\"y\",\"answer\":\"1\",\"unique_id\":\"i\"}\n"));
  EXPECT_FALSE(load_math(folder / "d.jsonl"));
}

TEST(Mmlu, ReadsTheOfficialLayout) {
  const fs::path folder = scratch("mmlu");
  ASSERT_TRUE(write_file_atomic(folder / "test/world_history_test.csv",
                                "\"Which, \nthen?\",w,x,y,z,C\nq2,1,2,3,4,A\n"));
  ASSERT_TRUE(write_file_atomic(folder / "dev/world_history_dev.csv", "d,1,2,3,4,B\n"));
  const auto data = load_mmlu(folder);
  ASSERT_TRUE(data) << data.error().message;
  ASSERT_EQ(data->questions.size(), 2u);
  EXPECT_EQ(data->questions[0].id, "world_history/0");
  EXPECT_EQ(data->questions[0].text, "Which, \nthen?");
  EXPECT_EQ(data->questions[0].answer, "C");
  ASSERT_NE(data->examples.find("world_history"), nullptr);
  EXPECT_EQ((*data->examples.find("world_history"))[0].answer, "B");
  ASSERT_TRUE(write_file_atomic(folder / "test/world_history_test.csv", "q,a,b,c,d,E\n"));
  EXPECT_FALSE(load_mmlu(folder));
}

TEST(Subset, IsStratifiedAndSeeded) {
  std::vector<Question> all;
  for (int i = 0; i < 300; ++i) {
    Question q;
    q.id = std::to_string(i);
    q.group = i < 200 ? "big" : "small";
    q.level = i % 2;
    all.push_back(q);
  }
  const auto a = stratified_subset(all, 30, 1), b = stratified_subset(all, 30, 1),
             c = stratified_subset(all, 30, 2);
  ASSERT_EQ(a.size(), 30u);
  std::map<std::string, int> groups;
  std::set<std::string> ids, other;
  for (const Question& q : a) ++groups[q.group], ids.insert(q.id);
  for (const Question& q : c) other.insert(q.id);
  EXPECT_EQ(ids.size(), 30u);
  EXPECT_EQ(groups["big"], 20);
  EXPECT_EQ(groups["small"], 10);
  for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].id, b[i].id);
  EXPECT_NE(ids, other);
  EXPECT_EQ(stratified_subset(all, 0, 1).size(), 300u);
  EXPECT_EQ(stratified_subset(all, 1000, 1).size(), 300u);
  EXPECT_EQ(stratified_subset(all, 7, 1).size(), 7u);
}

TEST(Shared, TheRealFilesLoad) {
  const fs::path data = fs::path(KVTOLL_SOURCE_DIR) / "../shared/data";
  if (!fs::exists(data / "math500/test.jsonl")) GTEST_SKIP() << data << " is not here";
  const auto math = load_math(data / "math500/test.jsonl");
  ASSERT_TRUE(math) << math.error().message;
  EXPECT_EQ(math->questions.size(), 500u);
  const auto mmlu = load_mmlu(data / "mmlu");
  ASSERT_TRUE(mmlu) << mmlu.error().message;
  EXPECT_EQ(mmlu->questions.size(), 14042u);
  EXPECT_EQ(mmlu->examples.by_group.size(), 57u);
  const auto subset = load_mmlu(data / "mmlu/mmlu_test_subset228.jsonl");
  ASSERT_TRUE(subset) << subset.error().message;
  EXPECT_EQ(subset->questions.size(), 228u);
  EXPECT_EQ(subset->examples.by_group.size(), 57u);
}

}  // namespace
}  // namespace kvtoll
