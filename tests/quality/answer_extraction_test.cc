// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/answer_extraction.h"

#include <gtest/gtest.h>

namespace kvtoll {
namespace {

TEST(LastBoxed, MatchesBracesAndTakesTheLast) {
  EXPECT_EQ(last_boxed("so \\boxed{\\frac{1}{2}} and \\boxed{\\frac{3}{4}}."), "\\frac{3}{4}");
  EXPECT_EQ(last_boxed("\\fbox{7}"), "7");
  EXPECT_EQ(last_boxed("$\\boxed 9$ done"), "9");
  EXPECT_EQ(last_boxed("\\boxed{\\{1,2\\}}"), "\\{1,2\\}");
  EXPECT_EQ(last_boxed("\\boxed{5} then \\boxed{6"), "5");  // the second never closes
  EXPECT_FALSE(last_boxed("no box"));
  EXPECT_FALSE(last_boxed("\\boxed{1"));
}

TEST(ExtractAnswer, ReadsBehindTheThought) {
  const auto answer = extract_answer("<think>\\boxed{1} hmm</think> It is \\boxed{2}.", false);
  EXPECT_EQ(answer.text, "2");
  EXPECT_EQ(answer.method, "boxed");
  EXPECT_EQ(extract_answer("I think \\boxed{1}</think>\n\\boxed{3}", true).text, "3");
}

TEST(ExtractAnswer, AThoughtThatNeverEndsHasNoAnswer) {
  for (const auto& answer :
       {extract_answer("<think> so \\boxed{1}", false), extract_answer("so \\boxed{1}", true)}) {
    EXPECT_TRUE(answer.thought_open);
    EXPECT_EQ(answer.text, "");
  }
  EXPECT_FALSE(extract_answer("no thought at all", false).thought_open);
}

TEST(ExtractAnswer, FallsBackInOrder) {
  EXPECT_EQ(
      extract_answer("Final Answer: The final answer is $24$. I hope it is correct.", false).text,
      "$24$");
  EXPECT_EQ(extract_answer("bla\nAnswer: 3/4\n", false).text, "3/4");
  EXPECT_EQ(extract_answer("**Answer:** 12", false).text, "12");
  EXPECT_EQ(extract_answer("first 3, then -1,234.5.", false).text, "-1,234.5");
  EXPECT_EQ(extract_answer("nothing", false).method, "none");
  EXPECT_EQ(extract_answer("", false).text, "");
}

TEST(ExtractLetter, FindsTheChoice) {
  EXPECT_EQ(extract_letter("B"), "B");
  EXPECT_EQ(extract_letter(" (C) because"), "C");
  EXPECT_EQ(extract_letter("D. the last"), "D");
  EXPECT_EQ(extract_letter("Think...\nAnswer: A"), "A");
  EXPECT_EQ(extract_letter("**Answer: $B$**"), "B");
  EXPECT_EQ(extract_letter("The answer is (D)."), "D");
  EXPECT_EQ(extract_letter("\\boxed{\\text{C}}"), "C");
  EXPECT_EQ(extract_letter("<think>Answer: A</think>Answer: B"), "B");
  EXPECT_EQ(extract_letter("Because of this"), "");
  EXPECT_EQ(extract_letter("A's are better"), "");
  EXPECT_EQ(extract_letter(""), "");
}

}  // namespace
}  // namespace kvtoll
