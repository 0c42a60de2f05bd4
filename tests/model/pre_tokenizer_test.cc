// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/golden_strings.h"

namespace kvtoll {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> pieces(const std::vector<SplitStage>& stages, std::string_view text) {
  std::vector<std::string> found;
  PreTokenizer(stages).split(text, [&](std::string_view piece) { found.emplace_back(piece); });
  return found;
}

struct Case {
  std::string name;
  std::vector<SplitStage> stages;
};

class Splitter : public ::testing::TestWithParam<Case> {};

TEST_P(Splitter, CutsAsHuggingFaceDoes) {
  const test::GoldenStrings golden;
  const auto expected = golden.pieces(GetParam().name);
  ASSERT_GT(expected.size(), 2000u);
  for (size_t i = 0; i < expected.size(); ++i) {
    std::vector<int32_t> lengths;
    for (const std::string& piece : pieces(GetParam().stages, golden.string(i)))
      lengths.push_back(static_cast<int32_t>(piece.size()));
    ASSERT_EQ(test::hash_values(lengths), expected[i]) << i << ": " << golden.string(i);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, Splitter,
    ::testing::Values(Case{"qwen2", {{SplitKind::kQwen2}}}, Case{"llama3", {{SplitKind::kLlama3}}},
                      Case{"gpt2", {{SplitKind::kGpt2}}},
                      Case{"smollm", {{SplitKind::kDigits}, {SplitKind::kGpt2}}}),
    [](const auto& info) { return info.param.name; });

TEST(Splitter, SpacesLeaveTheirLastOneToTheWord) {
  EXPECT_THAT(pieces({{SplitKind::kQwen2}}, "a   b"), ElementsAre("a", "  ", " b"));
  EXPECT_THAT(pieces({{SplitKind::kQwen2}}, "a \n\n  b"), ElementsAre("a", " \n\n", " ", " b"));
  EXPECT_THAT(pieces({{SplitKind::kGpt2}}, "a \n\n  b"), ElementsAre("a", " \n\n ", " b"));
  EXPECT_THAT(pieces({{SplitKind::kQwen2}}, "a  "), ElementsAre("a", "  "));
}

TEST(Splitter, DigitsAndContractions) {
  EXPECT_THAT(pieces({{SplitKind::kQwen2}}, "I'LL 1234"),
              ElementsAre("I", "'LL", " ", "1", "2", "3", "4"));
  EXPECT_THAT(pieces({{SplitKind::kLlama3}}, "it's 1234"),
              ElementsAre("it", "'s", " ", "123", "4"));
  EXPECT_THAT(pieces({{SplitKind::kGpt2}}, "I'LL 1234"), ElementsAre("I", "'", "LL", " 1234"));
  EXPECT_THAT(pieces({{SplitKind::kDigitRuns}}, "ab12c"), ElementsAre("ab", "12", "c"));
}

TEST(Splitter, PrefixSpace) {
  EXPECT_THAT(pieces({{SplitKind::kGpt2, true}}, "a b"), ElementsAre(" a", " b"));
  EXPECT_THAT(pieces({{SplitKind::kGpt2, true}}, " a"), ElementsAre(" a"));
  EXPECT_THAT(pieces({{SplitKind::kWhole}}, "a b 1"), ElementsAre("a b 1"));
}

TEST(SplitPattern, OnlyKnownOnes) {
  EXPECT_EQ(split_kind_of_pattern("\\p{N}"), SplitKind::kDigits);
  EXPECT_EQ(split_kind_of_pattern("\\p{N}{1,3}"), std::nullopt);
  EXPECT_EQ(split_kind_of_pattern(""), std::nullopt);
}

}  // namespace
}  // namespace kvtoll
