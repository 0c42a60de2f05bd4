// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/unicode.h"

#include <gtest/gtest.h>

#include "support/golden_strings.h"

namespace kvtoll {
namespace {

TEST(Utf8, EveryCodePointSurvivesARoundTrip) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    ASSERT_TRUE(is_valid_utf8(text)) << static_cast<uint32_t>(c);
    const CodePoint back = code_point_at(text, 0);
    ASSERT_EQ(back.value, c);
    ASSERT_EQ(back.length, static_cast<int>(text.size()));
  }
}

// Expected texts: Python's bytes.decode("utf-8", errors="replace").
TEST(Utf8, IllFormedPartsBecomeOneReplacementEach) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(valid_utf8("a\x80z"), "a" + r + "z");
  EXPECT_EQ(valid_utf8("\xC0\xAF"), r + r);                  // overlong
  EXPECT_EQ(valid_utf8("\xE2\x82z"), r + "z");               // a character cut short
  EXPECT_EQ(valid_utf8("\xED\xA0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(valid_utf8("\xF0\x9F\x98"), r);                  // cut off by the end
  EXPECT_EQ(valid_utf8("\xF4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(valid_utf8("\xF0\x9F\xF0\x9F\x98\x80"), r + "\xF0\x9F\x98\x80");
  EXPECT_EQ(valid_utf8("\xFF"), r);
  EXPECT_EQ(valid_utf8(std::string_view("\0x", 2)), std::string_view("\0x", 2));
  EXPECT_FALSE(is_valid_utf8("ok\xC2"));
}

TEST(CharClass, FollowsUnicode) {
  for (const char32_t c : {U'a', U'Z', U'\u00df', U'\u4e2d', U'\u0e01', U'\U0002EBF0'})
    EXPECT_EQ(char_class(c), CharClass::kLetter) << static_cast<uint32_t>(c);
  for (const char32_t c : {U'0', U'\u0663', U'\u00bd', U'\u2167', U'\U0001CCF0'})
    EXPECT_EQ(char_class(c), CharClass::kNumber) << static_cast<uint32_t>(c);
  for (const char32_t c : {U' ', U'\t', U'\n', U'\x0b', U'\u0085', U'\u00a0', U'\u2028', U'\u3000'})
    EXPECT_EQ(char_class(c), CharClass::kSpace) << static_cast<uint32_t>(c);
  for (const char32_t c : {U'.', U'\u0301', U'\u200b', U'\x1c', U'\U0001F600', U'\ufeff'})
    EXPECT_EQ(char_class(c), CharClass::kOther) << static_cast<uint32_t>(c);
}

TEST(Nfc, EqualsHuggingFace) {
  const test::GoldenStrings golden;
  const auto expected = golden.nfc();
  for (size_t i = 0; i < expected.size(); ++i) {
    const std::string normal = nfc(golden.string(i));
    std::vector<int32_t> bytes;
    for (const char c : normal) bytes.push_back(static_cast<uint8_t>(c));
    ASSERT_EQ(test::hash_values(bytes), expected[i]) << i << ": " << golden.string(i);
  }
}

TEST(Nfc, Composes) {
  EXPECT_EQ(nfc("cafe\u0301"), "caf\u00e9");
  EXPECT_EQ(nfc("\u1100\u1161\u11a8"), "\uac01");
  EXPECT_EQ(nfc("\u212b"), "\u00c5");
  EXPECT_EQ(nfc("s\u0307\u0323"), "\u1e69");
  EXPECT_EQ(nfc("plain"), "plain");
  EXPECT_EQ(nfc(""), "");
  std::string marks = "a";
  for (int i = 0; i < 100000; ++i) marks += "\u0327\u0301";
  ASSERT_EQ(nfc("\u0301\u0327"), "\u0327\u0301");
  EXPECT_EQ(nfc(marks).size(), marks.size() - 1);  // in time, and one mark composed
}

}  // namespace
}  // namespace kvtoll
