// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/added_tokens.h"

#include <gtest/gtest.h>

namespace kvtoll {
namespace {

// "text|[id:matched]|text"
std::string cut(const AddedTokenMatcher& matcher, std::string_view text) {
  std::string out;
  matcher.split(text, [&](std::string_view part, int32_t id) {
    if (!out.empty()) out += '|';
    out += id < 0 ? std::string(part) : "[" + std::to_string(id) + ":" + std::string(part) + "]";
  });
  return out;
}

TEST(AddedTokens, LeftmostLongest) {
  const AddedTokenMatcher matcher({{"<a>", 1}, {"<a><b>", 2}, {"<b>", 3}});
  EXPECT_EQ(cut(matcher, "x<a><b><b>y<a"), "x|[2:<a><b>]|[3:<b>]|y<a");
  EXPECT_EQ(cut(matcher, ""), "");
  EXPECT_EQ(cut(AddedTokenMatcher(), "x"), "x");
}

TEST(AddedTokens, StripFlagsTakeSpaces) {
  const AddedTokenMatcher matcher(
      {{.content = "<l>", .id = 1, .lstrip = true}, {.content = "<r>", .id = 2, .rstrip = true}});
  EXPECT_EQ(cut(matcher, "a \u3000<l> b"), "a|[1: \u3000<l>]| b");
  EXPECT_EQ(cut(matcher, "a <r> \n b"), "a |[2:<r> \n ]|b");
  EXPECT_EQ(cut(matcher, "<r>  <l>"), "[2:<r>  ]|[1:<l>]");  // spaces are taken once
}

TEST(AddedTokens, SingleWord) {
  const AddedTokenMatcher matcher({{.content = "key", .id = 1, .single_word = true}});
  EXPECT_EQ(cut(matcher, "key keys \u00e9key key_ (key)"),
            "[1:key]| keys \u00e9key key_ (|[1:key]|)");
}

}  // namespace
}  // namespace kvtoll
