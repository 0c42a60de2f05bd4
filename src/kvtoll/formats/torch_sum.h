// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The order in which torch adds floats on a CPU (one thread, 8 SIMD lanes), so that a mean is equal
// to the last bit: four levels of partial sums over chains, four interleaved chains where the
// summed axis is contiguous. Source: the behaviour of torch.sum, checked against it. On the device:
// torch_sum.cuh.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace kvtoll {

float torch_sum_contiguous(const float* x, int64_t n);
// x: [rows, cols] -> out [cols], added along the rows.
void torch_sum_rows(const float* x, int64_t rows, int64_t cols, float* out);

// In a chain of n terms, each level of partial sums is carried into the next after 2^this of it.
constexpr int torch_sum_power(int64_t n) {
  const int log2 = n > 1 ? static_cast<int>(std::bit_width(static_cast<uint64_t>(n - 1))) : 0;
  return std::max(4, log2 / 4);
}
// Of `cols` columns, those whose rows torch adds as one chain each; those after them: as four.
constexpr int64_t torch_sum_straight(int64_t cols) { return cols / 32 * 32; }

}  // namespace kvtoll
