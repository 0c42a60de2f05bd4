// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/hqq.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "kvtoll/formats/hqq_shrink.h"
#include "kvtoll/formats/hqq_solver.h"
#include "support/kv_tensors.h"

namespace kvtoll {
namespace {

using test::kv_tensor;
using test::KvData;

Quantized counting(int bits, int64_t rows, int64_t cols) {
  Quantized q{.rows = rows, .cols = cols};
  for (int64_t i = 0; i < rows * cols; ++i)
    q.codes.push_back(static_cast<uint8_t>(i % (1 << bits)));
  return q;
}

TEST(Hqq, PacksTheFirstRowsIntoTheHighBits) {
  Quantized q{.rows = 2, .cols = 2, .codes = {1, 2, 3, 4}};
  EXPECT_EQ(hqq_pack(4, q), (std::vector<uint8_t>{0x13, 0x24}));
  q = {.rows = 4, .cols = 1, .codes = {0, 1, 2, 3}};
  EXPECT_EQ(hqq_pack(2, q), (std::vector<uint8_t>{0x1b}));
  q = {.rows = 8, .cols = 1, .codes = {1, 0, 0, 0, 0, 0, 1, 1}};
  EXPECT_EQ(hqq_pack(1, q), (std::vector<uint8_t>{0x83}));
}

TEST(Hqq, PacksTenCodesOfThreeBitsIntoAWord) {
  Quantized q{.rows = 12, .cols = 1};
  for (uint8_t i = 0; i < 12; ++i) q.codes.push_back(i % 8);
  const std::vector<uint8_t> packed = hqq_pack(3, q);  // rows padded to 20: two words
  ASSERT_EQ(packed.size(), 8u);
  uint32_t words[2];
  std::memcpy(words, packed.data(), 8);
  // Word 0 has rows 0, 2, 4, 6, 8, 10; word 1 rows 1, 3, ...; the first at bit 27.
  EXPECT_EQ(words[0], 0u << 27 | 2u << 24 | 4u << 21 | 6u << 18 | 0u << 15 | 2u << 12);
  EXPECT_EQ(words[1], 1u << 27 | 3u << 24 | 5u << 21 | 7u << 18 | 1u << 15 | 3u << 12);
}

TEST(Hqq, UnpacksWhatItPacked) {
  for (int bits : {8, 4, 3, 2, 1}) {
    const Quantized q = counting(bits, 64, 5);
    const std::vector<uint8_t> packed = hqq_pack(bits, q);
    EXPECT_EQ(static_cast<int64_t>(packed.size()), hqq_packed_bytes(bits, 64, 5));
    for (int64_t row = 0; row < 64; ++row) {
      uint8_t codes[3];
      hqq_unpack_row(bits, packed.data(), 64, 5, row, 1, 4, codes);
      for (int64_t c = 0; c < 3; ++c)
        EXPECT_EQ(codes[c], q.codes[static_cast<size_t>(row * 5 + 1 + c)]) << bits;
    }
  }
}

TEST(Hqq, ACombOfAxis0ReachesOverHeadsAndTokens) {
  // [2 heads, 2 tokens, 4]: N = 16, group 4: column c has the elements c, c + 4, c + 8, c + 12.
  const KvFormat format = *KvFormat::parse("int8-hqq:group=4");
  std::vector<float> x(16, 0.0f);
  x[2] = 8, x[6] = 9, x[10] = 10, x[14] = 11;
  const auto q = kv_encode(format, DType::kF16, x, {2, 2, 4});
  ASSERT_TRUE(q);
  ASSERT_EQ(q->scale.size(), 4u);
  EXPECT_EQ(q->scale[0], 1.0f) << "a range below 1e-4 has scale 1";
  EXPECT_NEAR(q->scale[2], 3.0f / 255, 1e-5);
}

TEST(HqqSolver, ShrinkIsZeroBelowItsThreshold) {
  for (HqqSolver solver : {HqqSolver::kFp16, HqqSolver::kFp32}) {
    for (uint16_t bits = 0; bits <= 0x7c00; ++bits) {
      const float e = half_bits_to_float(bits), shrunk = hqq_shrunk(solver, e);
      EXPECT_TRUE(shrunk == 0.0f || e >= 0.169f) << e;
      EXPECT_TRUE(shrunk > 0.0f || e <= 0.172f) << e;
      EXPECT_LE(shrunk, e);
      EXPECT_EQ(hqq_shrunk(solver, -e), -shrunk);
    }
    EXPECT_TRUE(std::isnan(hqq_shrunk(solver, NAN)));
  }
}

// All floats from 0.16 to infinity were compared once with what glibc's pow gives: no difference.
TEST(HqqSolver, PowerIsCorrectlyRounded) {
  const double p = -0.3f;
  const auto same = [&](uint32_t bits) {
    const float a = std::bit_cast<float>(bits);
    return static_cast<float>(detail::power(a, p)) ==
           static_cast<float>(std::pow(static_cast<double>(a), p));
  };
  const uint32_t first = std::bit_cast<uint32_t>(kHqqShrinkFrom);
  for (uint32_t bits = first; bits < std::bit_cast<uint32_t>(0.25f); bits += 3)
    ASSERT_TRUE(same(bits)) << std::bit_cast<float>(bits);
  for (uint32_t bits = first; bits < 0x7f800000u; bits += 997)
    ASSERT_TRUE(same(bits)) << std::bit_cast<float>(bits);
}

TEST(HqqSolver, MovesZeroAloneAndStops) {
  const KvShape shape{4, 33, 128};
  const auto x = kv_tensor(KvData::kNormal, DType::kF16, shape, 9);
  for (HqqSolver solver : {HqqSolver::kFp16, HqqSolver::kFp32}) {
    const GroupLayout layout{64, shape.elements() / 64, GroupLayout::kColumn};
    std::vector<float> s(static_cast<size_t>(layout.groups()), 2.5f), z(s.size(), 7.0f);
    const std::vector<float> s0 = s, z0 = z;
    const int iterations = hqq_solve(solver, x.data(), layout, 15.0f, s, z);
    EXPECT_GE(iterations, 2) << "the first error always beats infinity";
    EXPECT_LE(iterations, kHqqIterations);
    EXPECT_EQ(s, s0);
    EXPECT_NE(z, z0);
  }
}

// The two forms are different formats: golden files say which one they are.
TEST(HqqSolver, TheTwoFormsDiffer) {
  const KvShape shape{4, 33, 128};
  const auto x = kv_tensor(KvData::kNormal, DType::kF16, shape, 9);
  const auto half = kv_encode(*KvFormat::parse("int8-hqq"), DType::kF16, x, shape);
  const auto single = kv_encode(*KvFormat::parse("int8-hqq:solver=fp32"), DType::kF16, x, shape);
  ASSERT_TRUE(half && single);
  int64_t different = 0;
  for (size_t i = 0; i < half->codes.size(); ++i) different += half->codes[i] != single->codes[i];
  EXPECT_GT(different, 0);
  EXPECT_LT(static_cast<double>(different), 0.2 * static_cast<double>(half->codes.size()));
}

}  // namespace
}  // namespace kvtoll
