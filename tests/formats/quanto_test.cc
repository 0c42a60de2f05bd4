// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/quanto.h"

#include <gtest/gtest.h>

#include <numeric>

namespace kvtoll {
namespace {

// Worked by hand: a group 0, 1, ... 15 has scale 1 and shift 0, so the codes are the numbers.
TEST(Quanto, AGroupByHand) {
  const KvFormat format = *KvFormat::parse("int4-quanto:group=16");
  std::vector<float> x(32);
  std::iota(x.begin(), x.begin() + 16, 0.0f);  // head 0
  std::iota(x.begin() + 16, x.end(), -20.0f);  // head 1: the same, shifted
  const KvShape shape{2, 1, 16};
  const auto q = kv_encode(format, DType::kF16, x, shape);
  ASSERT_TRUE(q);
  EXPECT_EQ(q->scale, (std::vector<float>{1, 1}));
  EXPECT_EQ(q->offset, (std::vector<float>{0, 20}));
  for (int i = 0; i < 32; ++i) EXPECT_EQ(q->codes[static_cast<size_t>(i)], i % 16);
  // The first half of the rows stands in the low nibbles.
  const std::vector<uint8_t> packed = kv_pack(format, *q);
  ASSERT_EQ(packed.size(), 16u);
  for (int i = 0; i < 16; ++i) EXPECT_EQ(packed[static_cast<size_t>(i)], i | i << 4);
}

TEST(Quanto, EveryStepRoundsToTheCachesType) {
  // Range 10 over 15 levels: 0.6666 in fp16 is 0.66650390625; code 7 reads 4.6640625 (4.66552734375
  // rounds to that), not 4.6667.
  const KvFormat format = *KvFormat::parse("int4-quanto:group=4");
  const std::vector<float> x = {0.0f, 10.0f, 4.6f, 5.0f, 0.0f, 10.0f, 4.6f, 5.0f};
  const KvShape shape{1, 2, 4};
  const auto q = kv_encode(format, DType::kF16, x, shape);
  ASSERT_TRUE(q);
  EXPECT_EQ(q->scale[0], 0.66650390625f);
  EXPECT_EQ(q->codes[2], 7);
  std::vector<float> y(8);
  kv_decode(format, DType::kF16, *q, shape, y);
  EXPECT_EQ(y[2], 4.6640625f);
}

TEST(Quanto, AnOddNumberOfRowsIsPadded) {
  const KvFormat format = *KvFormat::parse("int2-quanto:group=4");
  Quantized q{.rows = 5, .cols = 4};
  for (int i = 0; i < 20; ++i) q.codes.push_back(static_cast<uint8_t>(i / 4 % 4));
  const std::vector<uint8_t> packed = kv_pack(format, q);
  ASSERT_EQ(packed.size(), 8u);  // two packed rows: codes of rows r, r + 2, r + 4
  EXPECT_EQ(packed[0], 0 | 2 << 2 | 0 << 4);
  EXPECT_EQ(packed[4], 1 | 3 << 2);
  for (int64_t row = 0; row < 5; ++row) {
    uint8_t codes[4];
    kv_unpack_row(format, packed.data(), 5, 4, row, 0, 4, codes);
    for (uint8_t code : codes) EXPECT_EQ(code, row % 4);
  }
}

TEST(Quanto, AxisMinusOneGroupsAChannel) {
  const KvFormat format = *KvFormat::parse("int4-quanto:axis=-1,group=2");
  // Two heads, two tokens, two channels: channel 0 is constant in each head.
  const std::vector<float> x = {5, 0, 5, 15, 7, 30, 7, 60};
  const KvShape shape{2, 2, 2};
  const auto q = kv_encode(format, DType::kF16, x, shape);
  ASSERT_TRUE(q);
  // Columns: channel 0 of rows 0-1, channel 0 of rows 2-3, channel 1 of both.
  EXPECT_EQ(q->offset, (std::vector<float>{-5, -7, 0, -30}));
  EXPECT_EQ(q->scale, (std::vector<float>{0, 0, 1, 2}));
  std::vector<float> y(8);
  kv_decode(format, DType::kF16, *q, shape, y);
  EXPECT_EQ(y, x);
}

}  // namespace
}  // namespace kvtoll
