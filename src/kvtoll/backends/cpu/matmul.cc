// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Weight products: tiles of four weight rows by one to four tokens, so that a row is converted once
// per four tokens (prefill, batch) and streamed once per step (decode). The four rows lie a quarter
// of the range apart: four long streams are prefetched by the hardware, four neighbouring rows are
// not (measured on Zen 4: 31 against 11 GB/s of one thread).
#include "kvtoll/backends/cpu/kernels.h"

// foreach_target.h must come before highway.h.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kvtoll/backends/cpu/matmul.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

#include "kvtoll/backends/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kvtoll::cpu {
namespace HWY_NAMESPACE {

// sums[r * Tokens + t] = w[r] . x[t] over [0, in); the rows of w lie `step` elements apart. The
// order of additions is the same for every tile, so that a token's result does not depend on its
// batch.
template <int Rows, int Tokens, class W>
HWY_INLINE void dot_tile(const W* HWY_RESTRICT w, int64_t step, const float* HWY_RESTRICT x,
                         int64_t in, float* HWY_RESTRICT sums) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  V acc[Rows * Tokens];
  for (V& a : acc) a = hn::Zero(F32());
  int64_t k = 0;
  for (; k + lanes <= in; k += lanes) {
    V xs[Tokens];
    for (int t = 0; t < Tokens; ++t) xs[t] = load(x + t * in + k);
    for (int r = 0; r < Rows; ++r) {
      const V wr = load(w + r * step + k);
      for (int t = 0; t < Tokens; ++t)
        acc[r * Tokens + t] = hn::MulAdd(wr, xs[t], acc[r * Tokens + t]);
    }
  }
  for (int i = 0; i < Rows * Tokens; ++i) sums[i] = sum_lanes(acc[i]);
  for (; k < in; ++k)
    for (int r = 0; r < Rows; ++r)
      for (int t = 0; t < Tokens; ++t)
        sums[r * Tokens + t] += load_one(w + r * step + k) * x[t * in + k];
}

template <int Rows, int Tokens, class W>
HWY_INLINE void tile(const Matmul& m, int64_t row, int64_t apart, int64_t token) {
  float sums[Rows * Tokens];
  dot_tile<Rows, Tokens>(static_cast<const W*>(m.w) + row * m.in, apart * m.in, m.x + token * m.in,
                         m.in, sums);
  for (int t = 0; t < Tokens; ++t) {
    float* y = m.y + (token + t) * m.y_stride + row;
    for (int r = 0; r < Rows; ++r) {
      const int64_t at = r * apart;
      const float value = sums[r * Tokens + t] + (m.bias ? m.bias[row + at] : 0.0f);
      y[at] = m.add ? y[at] + value : value;
    }
  }
}

// Rows row, row + apart, ...
template <int Rows, class W>
HWY_INLINE void row_block(const Matmul& m, int64_t row, int64_t apart) {
  int64_t token = 0;
  for (; token + 4 <= m.tokens; token += 4) tile<Rows, 4, W>(m, row, apart, token);
  if (token + 2 <= m.tokens) {
    tile<Rows, 2, W>(m, row, apart, token);
    token += 2;
  }
  if (token < m.tokens) tile<Rows, 1, W>(m, row, apart, token);
}

template <class W>
void all_rows(const Matmul& m, int64_t begin, int64_t end) {
  const int64_t quarter = (end - begin) / 4;
  for (int64_t row = begin; row < begin + quarter; ++row) row_block<4, W>(m, row, quarter);
  for (int64_t row = begin + 4 * quarter; row < end; ++row) row_block<1, W>(m, row, 0);
}

void MatmulRows(const Matmul& m, int64_t begin, int64_t end) {
  switch (m.dtype) {
    case DType::kF16:
      return all_rows<Half>(m, begin, end);
    case DType::kBF16:
      return all_rows<Brain>(m, begin, end);
    default:
      return all_rows<float>(m, begin, end);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace kvtoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvtoll::cpu {
HWY_EXPORT(MatmulRows);
void matmul_rows(const Matmul& m, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(MatmulRows)(m, begin, end);
}
}  // namespace kvtoll::cpu
#endif
