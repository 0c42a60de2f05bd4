// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/rounding.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kvtoll {
namespace {

// Every exponent and sign with the mantissas around every rounding boundary of both types.
std::vector<float> interesting_floats() {
  std::vector<float> floats;
  for (uint32_t exponent = 0; exponent < 256; ++exponent) {
    for (uint32_t high = 0; high < 128; ++high) {
      for (uint32_t low : {0x0000u, 0x0001u, 0x0fffu, 0x1000u, 0x1001u, 0x1fffu, 0x2000u, 0x7fffu,
                           0x8000u, 0x8001u, 0xffffu}) {
        const uint32_t bits = exponent << 23 | high << 16 | low;
        floats.push_back(std::bit_cast<float>(bits));
        floats.push_back(std::bit_cast<float>(bits | 0x80000000u));
      }
    }
  }
  return floats;
}

void expect_same(float got, float want, float x) {
  if (std::isnan(want))
    EXPECT_TRUE(std::isnan(got)) << x;
  else
    EXPECT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(want)) << x;
}

TEST(Rounding, ElementsBlocksAndTheReferenceAgree) {
  const std::vector<float> floats = interesting_floats();
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    std::vector<float> block = floats;
    round_block(dtype, block.data(), static_cast<int64_t>(block.size()));
    with_rounding(dtype, [&](auto fl) {
      for (size_t i = 0; i < floats.size(); ++i) {
        const float x = floats[i];
        const float want = dtype == DType::kF16    ? round_to_half(x)
                           : dtype == DType::kBF16 ? round_to_bfloat16(x)
                                                   : x;
        expect_same(fl(x), want, x);
        expect_same(block[i], want, x);
      }
    });
  }
}

TEST(Rounding, WidensEveryHalf) {
  for (uint32_t h = 0; h < 65536; ++h)
    expect_same(half_to_float(static_cast<uint16_t>(h)),
                half_bits_to_float(static_cast<uint16_t>(h)), static_cast<float>(h));
}

TEST(Rounding, RintTiesToEven) {
  for (float x : {0.0f, 0.5f, 1.5f, 2.5f, 254.5f, 255.0f, 0.49999997f, 7.500001f})
    EXPECT_EQ(rint_small(x), std::nearbyint(x));
  EXPECT_TRUE(std::isnan(rint_small(clamp_levels(NAN, 15.0f))));
  EXPECT_EQ(clamp_levels(INFINITY, 15.0f), 15.0f);
  EXPECT_EQ(clamp_levels(-INFINITY, 15.0f), 0.0f);
}

TEST(FloatArray, KeepsValuesAndCountsBytes) {
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    FloatArray array(dtype);
    array.resize(5);
    const float values[] = {1.0f, -0.5f, 3.0f, 1024.0f, 0.0f};
    array.set(0, values, 5);
    array.resize(3);
    EXPECT_EQ(array.bytes(), 3 * dtype_size(dtype));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(array.get(i), values[i]);
  }
}

}  // namespace
}  // namespace kvtoll
