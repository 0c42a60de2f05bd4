// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/torch_sum.h"

#include <array>

#include "kvtoll/formats/rounding.h"

namespace kvtoll {
namespace {

constexpr int kLanes = 8;  // floats of the register that torch's kernel is compiled for

// Adds n rows of W neighbours, row i at x + i * stride, with four levels of partial sums: level k
// is carried into level k + 1 after 2^power terms.
template <int W>
KVTOLL_INLINE void add_levels(const float* x, int64_t stride, int64_t n, float* out) {
  const int power = torch_sum_power(n);
  const int64_t step = int64_t{1} << power;
  float level[4][W] = {};
  int64_t i = 0;
  while (i + step <= n) {
    for (int64_t k = 0; k < step; ++k, ++i)
      for (int w = 0; w < W; ++w) level[0][w] += x[i * stride + w];
    for (int j = 1; j < 4; ++j) {
      for (int w = 0; w < W; ++w) level[j][w] += level[j - 1][w], level[j - 1][w] = 0.0f;
      if (i & ((step - 1) << (j * power))) break;
    }
  }
  for (; i < n; ++i)
    for (int w = 0; w < W; ++w) level[0][w] += x[i * stride + w];
  for (int w = 0; w < W; ++w) out[w] = ((level[0][w] + level[1][w]) + level[2][w]) + level[3][w];
}

// The same rows as four interleaved chains.
template <int W>
KVTOLL_INLINE void add_chains(const float* x, int64_t stride, int64_t n, float* out) {
  const int64_t m = n / 4;
  float chain[4][W] = {};
  if (m > 0)
    for (int k = 0; k < 4; ++k) add_levels<W>(x + k * stride, 4 * stride, m, chain[k]);
  for (int64_t i = 4 * m; i < n; ++i)
    for (int w = 0; w < W; ++w) chain[0][w] += x[i * stride + w];
  for (int w = 0; w < W; ++w) out[w] = ((chain[0][w] + chain[1][w]) + chain[2][w]) + chain[3][w];
}

}  // namespace

float torch_sum_contiguous(const float* x, int64_t n) {
  float sum = 0.0f;
  if (n < kLanes) {
    add_chains<1>(x, 1, n, &sum);
    return sum;
  }
  for (int64_t k = n / kLanes * kLanes; k < n; ++k) sum += x[k];
  std::array<float, kLanes> lanes{};
  run_simd([&]() __attribute__((always_inline)) {
    add_chains<kLanes>(x, kLanes, n / kLanes, lanes.data());
  });
  for (float lane : lanes) sum += lane;
  return sum;
}

void torch_sum_rows(const float* x, int64_t rows, int64_t cols, float* out) {
  constexpr int kBlock = 4 * kLanes;
  const int64_t straight = torch_sum_straight(cols);
  run_simd([&]() __attribute__((always_inline)) {
    for (int64_t c = 0; c < straight; c += kBlock) add_levels<kBlock>(x + c, cols, rows, out + c);
  });
  for (int64_t c = straight; c < cols; ++c) add_chains<1>(x + c, cols, rows, out + c);
}

}  // namespace kvtoll
