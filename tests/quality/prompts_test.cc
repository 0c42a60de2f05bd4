// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/prompts.h"

#include <gtest/gtest.h>

#include "kvtoll/quality/mmlu_categories.h"

namespace kvtoll {
namespace {

Question choice(const std::string& text, const std::string& answer) {
  Question q;
  q.id = "x/0";
  q.group = "high_school_physics";
  q.text = text;
  q.choices = {"one", "two", "three", "four"};
  q.answer = answer;
  return q;
}

TEST(MmluLetterPrompt, IsTheHarnesssText) {
  Examples examples;
  examples.by_group = {{"high_school_physics", {choice(" First? ", "B"), choice("Second?", "D")}}};
  const Prompt prompt = mmlu_letter_prompt(choice("Third?\n", "A"), examples, 1);
  EXPECT_EQ(prompt.text,
            "The following are multiple choice questions (with answers) about high school physics."
            "\n\nFirst?\nA. one\nB. two\nC. three\nD. four\nAnswer: B\n\n"
            "Third?\nA. one\nB. two\nC. three\nD. four\nAnswer:");
  EXPECT_TRUE(prompt.raw);
  EXPECT_EQ(mmlu_letter_prompt(choice("T", "A"), {}, 5).text.find("Answer: "), std::string::npos);
}

class WithTokenizer : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = open_tokenizer(KVTOLL_SOURCE_DIR "/models/scribe");
    ASSERT_TRUE(opened) << opened.error().message;
    tokenizer_ = *opened;
  }
  Result<Prompt> math(const std::string& style) {
    Question q;
    q.text = "What is 1+1?";
    return math_prompt(q, style, *tokenizer_, "scribe");
  }
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_F(WithTokenizer, StylesOfMath) {
  const auto r1 = math("r1-distill"), qwen = math("qwen25-math"), minerva = math("minerva");
  ASSERT_TRUE(r1 && qwen && minerva);
  constexpr std::string_view kSentence =
      "Please reason step by step, and put your final answer within \\boxed{}.";
  EXPECT_NE(r1->text.find("What is 1+1?\n" + std::string(kSentence)), std::string::npos);
  EXPECT_LT(qwen->text.find(kSentence), qwen->text.find("What is 1+1?"));  // system first
  EXPECT_TRUE(minerva->text.ends_with("Problem:\nWhat is 1+1?\n\nSolution:"));
  EXPECT_EQ(minerva->stop, "Problem:");
  size_t shots = 0;
  for (size_t at = 0; (at = minerva->text.find("I hope it is correct.", at)) != std::string::npos;
       ++at)
    ++shots;
  EXPECT_EQ(shots, 4u);
}

TEST_F(WithTokenizer, UnknownStylesAreUsageErrors) {
  EXPECT_EQ(resolve_style("haiku", *tokenizer_, "scribe").error().kind, ErrorKind::kUsage);
  EXPECT_EQ(*resolve_style("minerva", *tokenizer_, "scribe"), "minerva");
  EXPECT_EQ(*resolve_style("auto", *tokenizer_, "scribe"), "qwen25-math");  // a ChatML model
}

TEST(MmluCategories, CoverTheSubjects) {
  EXPECT_EQ(mmlu_category("abstract_algebra"), "stem");
  EXPECT_EQ(mmlu_category("world_religions"), "humanities");
  EXPECT_EQ(mmlu_category("econometrics"), "social_sciences");
  EXPECT_EQ(mmlu_category("virology"), "other");
  EXPECT_EQ(mmlu_category("alchemy"), "");
}

}  // namespace
}  // namespace kvtoll
