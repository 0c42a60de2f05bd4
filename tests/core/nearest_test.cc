// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/nearest.h"

#include <gtest/gtest.h>

#include <array>

namespace kvtoll {
namespace {

constexpr std::array<std::string_view, 3> kWords = {"new_tokens", "residual", "batch"};

TEST(Nearest, FindsTheWordWithFewestEdits) {
  EXPECT_EQ(nearest("new_token", kWords), "new_tokens");
  EXPECT_EQ(nearest("residaul", kWords), "residual");
  EXPECT_EQ(nearest("batch", kWords), "batch");
}

TEST(Nearest, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(nearest("xyzzy", kWords), "");
  EXPECT_EQ(nearest("", kWords), "");
  EXPECT_EQ(suggestion("xyzzy", kWords), "; known: new_tokens, residual, batch");
  EXPECT_EQ(suggestion("bach", kWords), "; did you mean \"batch\"?");
}

}  // namespace
}  // namespace kvtoll
