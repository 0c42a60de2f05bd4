// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Attention of the query heads that share a kv head over one run of positions, with the running
// softmax of flash attention (Dao et al. 2022; Milakov and Gimelshein 2018), so that runs can be
// split over threads and merged.
#include <cmath>

#include "kvtoll/backends/cpu/kernels.h"

// foreach_target.h must come before highway.h.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kvtoll/backends/cpu/attention.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

#include "kvtoll/backends/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kvtoll::cpu {
namespace HWY_NAMESPACE {

HWY_INLINE float dot(const float* a, const float* b, int64_t n) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  V acc = hn::Zero(F32());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) acc = hn::MulAdd(load(a + i), load(b + i), acc);
  float sum = sum_lanes(acc);
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

template <class T>
HWY_INLINE void widen_row(const T* x, int64_t n, float* y) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(load(x + i), F32(), y + i);
  for (; i < n; ++i) y[i] = load_one(x + i);
}

// scores[r, p] = scale * q[r] . k[p]
template <class T>
HWY_INLINE void score(const AttentionChunk& c, const float* q, int rows, int64_t dim, float scale,
                      float* row, float* scores) {
  const T* k = static_cast<const T*>(c.k);
  for (int64_t p = 0; p < c.count; ++p) {
    widen_row(k + p * c.k_stride, dim, row);
    for (int r = 0; r < rows; ++r)
      scores[r * kAttentionChunk + p] = scale * dot(q + r * dim, row, dim);
  }
}

// acc[r] += sum_p weights[r, p] v[p]
template <class T>
HWY_INLINE void weigh(const AttentionChunk& c, const float* weights, int rows, int64_t dim,
                      float* acc) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  const T* v = static_cast<const T*>(c.v);
  for (int r = 0; r < rows; ++r) {
    const float* w = weights + r * kAttentionChunk;
    float* out = acc + r * dim;
    int64_t d = 0;
    for (; d + 2 * lanes <= dim; d += 2 * lanes) {
      V a = load(out + d), b = load(out + d + lanes);
      for (int64_t p = 0; p < c.count; ++p) {
        const V weight = hn::Set(F32(), w[p]);
        a = hn::MulAdd(weight, load(v + p * c.v_stride + d), a);
        b = hn::MulAdd(weight, load(v + p * c.v_stride + d + lanes), b);
      }
      hn::StoreU(a, F32(), out + d);
      hn::StoreU(b, F32(), out + d + lanes);
    }
    for (; d < dim; ++d)
      for (int64_t p = 0; p < c.count; ++p) out[d] += w[p] * load_one(v + p * c.v_stride + d);
  }
}

// Turns a row's scores into exp(score - max), rescales what came before.
HWY_INLINE void softmax_row(float* scores, int64_t count, int64_t dim, float* max, float* sum,
                            float* acc) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  float top = *max;
  for (int64_t p = 0; p < count; ++p) top = scores[p] > top ? scores[p] : top;
  if (top > *max) {
    const float shrink = *sum > 0.0f ? std::exp(*max - top) : 0.0f;
    *sum *= shrink;
    for (int64_t d = 0; d < dim; ++d) acc[d] *= shrink;
    *max = top;
  }
  const V shift = hn::Set(F32(), top);
  V total = hn::Zero(F32());
  int64_t p = 0;
  for (; p + lanes <= count; p += lanes) {
    const V e = hn::Exp(F32(), hn::Sub(load(scores + p), shift));
    total = hn::Add(total, e);
    hn::StoreU(e, F32(), scores + p);
  }
  float rest = sum_lanes(total);
  for (; p < count; ++p) rest += scores[p] = std::exp(scores[p] - top);
  *sum += rest;
}

void AttendChunk(const AttentionChunk& c, const float* q, int rows, int64_t dim, float scale,
                 const AttentionState& state, float* scratch) {
  float* scores = scratch + dim;
  switch (c.k_dtype) {
    case DType::kF16:
      score<Half>(c, q, rows, dim, scale, scratch, scores);
      break;
    case DType::kBF16:
      score<Brain>(c, q, rows, dim, scale, scratch, scores);
      break;
    default:
      score<float>(c, q, rows, dim, scale, scratch, scores);
  }
  for (int r = 0; r < rows; ++r)
    softmax_row(scores + r * kAttentionChunk, c.count, dim, state.max + r, state.sum + r,
                state.acc + r * dim);
  switch (c.v_dtype) {
    case DType::kF16:
      return weigh<Half>(c, scores, rows, dim, state.acc);
    case DType::kBF16:
      return weigh<Brain>(c, scores, rows, dim, state.acc);
    default:
      return weigh<float>(c, scores, rows, dim, state.acc);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace kvtoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvtoll::cpu {
HWY_EXPORT(AttendChunk);
void attend_chunk(const AttentionChunk& chunk, const float* q, int rows, int64_t dim, float scale,
                  const AttentionState& state, float* scratch) {
  HWY_DYNAMIC_DISPATCH(AttendChunk)(chunk, q, rows, dim, scale, state, scratch);
}
}  // namespace kvtoll::cpu
#endif
