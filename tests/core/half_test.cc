// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/half.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kvtoll {
namespace {

TEST(Half, EveryPatternSurvivesARoundTrip) {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float f = half_bits_to_float(static_cast<uint16_t>(h));
    if (std::isnan(f)) continue;
    EXPECT_EQ(float_to_half_bits(f), h);
  }
}

// Between two neighbours the nearer wins, and the tie goes to the even pattern.
TEST(Half, RoundsToNearestEven) {
  for (uint32_t h = 0; h + 1 < 0x7c00; ++h) {
    const float low = half_bits_to_float(static_cast<uint16_t>(h));
    const float high = half_bits_to_float(static_cast<uint16_t>(h + 1));
    const float middle = low + (high - low) / 2;
    EXPECT_EQ(float_to_half_bits(middle), h % 2 == 0 ? h : h + 1) << h;
    EXPECT_EQ(float_to_half_bits(std::nextafter(middle, 0.0f)), h);
    EXPECT_EQ(float_to_half_bits(std::nextafter(middle, 1e9f)), h + 1);
    EXPECT_EQ(float_to_half_bits(-low), h | 0x8000u);
  }
  EXPECT_EQ(float_to_half_bits(65519.0f), 0x7bff);
  EXPECT_EQ(float_to_half_bits(65520.0f), 0x7c00);
}

TEST(BFloat16, RoundsToNearestEven) {
  for (uint32_t b = 0; b < 0x7f80; ++b) {
    const float low = bfloat16_bits_to_float(static_cast<uint16_t>(b));
    EXPECT_EQ(float_to_bfloat16_bits(low), b);
    const float middle = std::bit_cast<float>((b << 16) + 0x8000u);
    EXPECT_EQ(float_to_bfloat16_bits(middle), b % 2 == 0 ? b : b + 1);
  }
}

}  // namespace
}  // namespace kvtoll
