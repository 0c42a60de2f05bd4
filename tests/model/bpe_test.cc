// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvtoll/core/rng.h"

namespace kvtoll {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Vocabulary letters(const std::vector<std::string>& more) {
  std::vector<std::pair<std::string, int64_t>> tokens;
  for (const char c : std::string("abcd")) tokens.emplace_back(std::string(1, c), tokens.size());
  for (const auto& text : more) tokens.emplace_back(text, tokens.size());
  return *Vocabulary::make(std::move(tokens), "test");
}

std::vector<int32_t> encode(const Bpe& bpe, std::string_view piece) {
  std::vector<int32_t> ids;
  bpe.encode(piece, ids);
  return ids;
}

TEST(Bpe, LowestRankFirstThenLeftmost) {
  const Vocabulary vocabulary = letters({"bc", "ab", "aa"});  // ids 4, 5, 6
  const std::string where = "test";
  Bpe::Builder builder(vocabulary, 3, where);
  ASSERT_TRUE(builder.add("b", "c"));
  ASSERT_TRUE(builder.add("a", "b"));
  ASSERT_TRUE(builder.add("a", "a"));
  const Bpe bpe = builder.finish({});
  EXPECT_THAT(encode(bpe, "abc"), ElementsAre(0, 4));
  EXPECT_THAT(encode(bpe, "abd"), ElementsAre(5, 3));
  EXPECT_THAT(encode(bpe, "aaa"), ElementsAre(6, 0));
  EXPECT_THAT(encode(bpe, ""), ElementsAre());
  EXPECT_THAT(encode(bpe, "axb"), ElementsAre(5));  // x has no token and is dropped
}

TEST(Bpe, UnknownBytes) {
  const Vocabulary vocabulary = letters({"?"});
  const std::string where = "test";
  const Bpe fused = Bpe::Builder(vocabulary, 0, where).finish({.unknown = 4, .fuse_unknown = true});
  const Bpe each = Bpe::Builder(vocabulary, 0, where).finish({.unknown = 4});
  EXPECT_THAT(encode(fused, "axyb"), ElementsAre(0, 4, 1));
  EXPECT_THAT(encode(each, "axyb"), ElementsAre(0, 4, 4, 1));
  EXPECT_FALSE(each.has_every_byte());
}

TEST(Bpe, IgnoreMergesTakesWholeTokens) {
  const Vocabulary vocabulary = letters({"ab", "abcd"});
  const std::string where = "test";
  Bpe::Builder builder(vocabulary, 1, where);
  ASSERT_TRUE(builder.add("a", "b"));
  const Bpe bpe = builder.finish({.ignore_merges = true});
  EXPECT_THAT(encode(bpe, "abcd"), ElementsAre(5));
  EXPECT_THAT(encode(bpe, "abcda"), ElementsAre(4, 2, 3, 0));
}

// Long pieces go through a heap; cut by hand, the plain rule must give the same.
TEST(Bpe, LongPiecesFollowTheSameRule) {
  const std::vector<std::pair<std::string, std::string>> merges = {
      {"a", "b"}, {"c", "d"}, {"ab", "cd"}, {"a", "a"}, {"abcd", "a"}, {"b", "ab"}, {"d", "d"}};
  std::vector<std::string> joined;
  for (const auto& [left, right] : merges) joined.push_back(left + right);
  const Vocabulary vocabulary = letters(joined);
  const std::string where = "test";
  Bpe::Builder builder(vocabulary, merges.size(), where);
  for (const auto& [left, right] : merges) ASSERT_TRUE(builder.add(left, right));
  const Bpe bpe = builder.finish({});
  Rng rng(3);
  for (int round = 0; round < 300; ++round) {
    std::string piece;
    for (uint64_t n = 1 + rng.below(200); n > 0; --n) piece += "abcd"[rng.below(4)];
    std::vector<std::string> parts;
    for (const char c : piece) parts.emplace_back(1, c);
    for (bool merged = true; merged;) {
      merged = false;
      for (const auto& [left, right] : merges) {
        for (size_t i = 0; i + 1 < parts.size() && !merged; ++i)
          if (parts[i] == left && parts[i + 1] == right) {
            parts[i] += right;
            parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1);
            merged = true;
          }
        if (merged) break;
      }
    }
    std::vector<int32_t> expected;
    for (const auto& part : parts) expected.push_back(*vocabulary.find(part));
    ASSERT_EQ(encode(bpe, piece), expected) << piece;
  }
}

TEST(Bpe, BrokenMergesNameTheMerge) {
  const Vocabulary vocabulary = letters({"ab"});
  const std::string where = "some.file";
  Bpe::Builder builder(vocabulary, 4, where);
  ASSERT_TRUE(builder.add("a", "b"));
  for (const auto& [left, right] : {std::pair{"a", "z"}, {"z", "a"}, {"b", "a"}, {"", "a"}}) {
    const auto result = builder.add(left, right);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::kInput);
    EXPECT_THAT(result.error().message, HasSubstr("some.file: merge 1"));
    EXPECT_THAT(result.error().message, HasSubstr("is not a token"));
  }
}

TEST(Vocabulary, RefusesHolesAndDuplicates) {
  const auto message = [](std::vector<std::pair<std::string, int64_t>> tokens) {
    const auto made = Vocabulary::make(std::move(tokens), "f");
    return made ? "fine" : made.error().message;
  };
  EXPECT_EQ(message({{"b", 1}, {"a", 0}}), "fine");
  EXPECT_THAT(message({{"a", 0}, {"b", 2}}), HasSubstr("no token has the id 1"));
  EXPECT_THAT(message({{"a", 0}, {"b", 0}}), HasSubstr("both have the id 0"));
  EXPECT_THAT(message({{"a", 0}, {"a", 1}}), HasSubstr("two ids"));
  EXPECT_THAT(message({{"a", -1}}), HasSubstr("below 0"));
  EXPECT_THAT(message({{"a", int64_t{1} << 40}}), HasSubstr("no token has the id 0"));
  EXPECT_THAT(message({}), HasSubstr("empty"));
}

}  // namespace
}  // namespace kvtoll
