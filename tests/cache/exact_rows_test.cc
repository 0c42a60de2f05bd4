// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/cache/exact_rows.h"

#include <gtest/gtest.h>

#include <vector>

#include "kvtoll/core/half.h"
#include "kvtoll/core/rng.h"

namespace kvtoll {
namespace {

constexpr int kHeads = 3, kDim = 5;

float value(int64_t position, int head, int d) {
  return random_symmetric(9, static_cast<uint64_t>(position),
                          static_cast<uint64_t>(head * kDim + d));
}

std::vector<float> block(int64_t first, int64_t n) {  // [kv_head, n, dim]
  std::vector<float> x;
  for (int h = 0; h < kHeads; ++h)
    for (int64_t p = first; p < first + n; ++p)
      for (int d = 0; d < kDim; ++d) x.push_back(value(p, h, d));
  return x;
}

TEST(ExactRows, KeepsOrderAndRoundsWhileItGrows) {
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    ExactRows rows(dtype, kHeads, kDim, 2);
    EXPECT_EQ(rows.allocated().value, 2 * kHeads * kDim * dtype_size(dtype));
    int64_t length = 0;
    for (int64_t n : {1, 1, 7, 1, 30}) {
      rows.append(block(length, n), n);
      length += n;
    }
    ASSERT_EQ(rows.tokens(), length);
    const KvSegment view = rows.view();
    std::vector<float> head(static_cast<size_t>(length * kDim));
    for (int h = 0; h < kHeads; ++h) {
      rows.read_head(h, head);
      for (int64_t p = 0; p < length; ++p)
        for (int d = 0; d < kDim; ++d) {
          const float x = value(p, h, d);
          const float expected = dtype == DType::kF16    ? round_to_half(x)
                                 : dtype == DType::kBF16 ? round_to_bfloat16(x)
                                                         : x;
          ASSERT_EQ(head[static_cast<size_t>(p * kDim + d)], expected);
          const TensorView row{view.row(h, p), dtype, Shape{kDim}};
          ASSERT_EQ(row.at(d), expected);
        }
    }
    rows.clear();
    EXPECT_EQ(rows.tokens(), 0);
  }
}

TEST(ExactRows, ReservedCapacityIsNotExceededByWhatFits) {
  ExactRows rows(DType::kF16, kHeads, kDim, 40);
  const Bytes before = rows.allocated();
  rows.append(block(0, 40), 40);
  EXPECT_EQ(rows.allocated().value, before.value);
}

}  // namespace
}  // namespace kvtoll
