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

constexpr size_t kLanes = hn::MaxLanes(F32());
// Query heads and vectors of an output row that are kept in registers at a time.
constexpr int kRowBlock = 4;
constexpr int kVectorBlock = HWY_TARGET <= HWY_AVX3 ? 4 : 2;

// The sums of `Count` vectors at `at`, each kLanes floats, in the lanes of one vector: neighbours
// are added pairwise, then the pairs' pairs.
template <size_t Count>
HWY_INLINE V sum_each(const float* at) {
#if HWY_TARGET != HWY_SCALAR  // one lane: nothing to add
  if constexpr (Count > 1) {
    const V low = sum_each<Count / 2>(at), high = sum_each<Count / 2>(at + Count / 2 * kLanes);
    return hn::Add(hn::ConcatEven(F32(), high, low), hn::ConcatOdd(F32(), high, low));
  }
#endif
  return load(at);
}

// scores[r, p] = scale * q[r] . k[p] for Rows rows.
template <int Rows, class T>
HWY_INLINE void score(const AttentionChunk& c, const float* q, int64_t dim, float scale,
                      float* scores) {
  constexpr int64_t kCount = static_cast<int64_t>(kLanes);
  HWY_ALIGN float sums[Rows * kLanes * kLanes];  // [row, position, lane]
  for (float& sum : sums) sum = 0.0f;
  for (int64_t first = 0; first < c.count; first += kCount) {
    const int64_t n = c.count - first < kCount ? c.count - first : kCount;
    for (int64_t p = 0; p < n; ++p) {
      const T* k = static_cast<const T*>(c.k) + (first + p) * c.k_stride;
      V acc[Rows];
      for (V& a : acc) a = hn::Zero(F32());
      int64_t d = 0;
      for (; d + kCount <= dim; d += kCount) {
        const V key = load(k + d);
        for (int r = 0; r < Rows; ++r) acc[r] = hn::MulAdd(load(q + r * dim + d), key, acc[r]);
      }
      for (int r = 0; r < Rows; ++r) {
        float* lanes = sums + (r * kCount + p) * kCount;
        hn::Store(acc[r], F32(), lanes);
        for (int64_t rest = d; rest < dim; ++rest)
          lanes[0] += q[r * dim + rest] * load_one(k + rest);
      }
    }
    for (int r = 0; r < Rows; ++r) {
      const V each = sum_each<kLanes>(sums + r * kCount * kCount);
      hn::StoreU(hn::Mul(each, hn::Set(F32(), scale)), F32(), scores + r * kAttentionChunk + first);
    }
  }
}

// acc[r] += sum_p weights[r, p] v[p] for Rows rows and vectors [d, d + Vectors).
template <int Rows, int Vectors, class T>
HWY_INLINE void weigh_block(const AttentionChunk& c, const float* weights, int64_t dim, int64_t d,
                            float* acc) {
  constexpr int64_t kCount = static_cast<int64_t>(kLanes);
  V sums[Rows * Vectors];
  for (int r = 0; r < Rows; ++r)
    for (int i = 0; i < Vectors; ++i) sums[r * Vectors + i] = load(acc + r * dim + d + i * kCount);
  const T* v = static_cast<const T*>(c.v) + d;
  for (int64_t p = 0; p < c.count; ++p, v += c.v_stride) {
    V values[Vectors];
    for (int i = 0; i < Vectors; ++i) values[i] = load(v + i * kCount);
    for (int r = 0; r < Rows; ++r) {
      const V weight = hn::Set(F32(), weights[r * kAttentionChunk + p]);
      for (int i = 0; i < Vectors; ++i)
        sums[r * Vectors + i] = hn::MulAdd(weight, values[i], sums[r * Vectors + i]);
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int i = 0; i < Vectors; ++i)
      hn::StoreU(sums[r * Vectors + i], F32(), acc + r * dim + d + i * kCount);
}

template <int Rows, class T>
HWY_INLINE void weigh(const AttentionChunk& c, const float* weights, int64_t dim, float* acc) {
  constexpr int64_t kCount = static_cast<int64_t>(kLanes);
  int64_t d = 0;
  for (; d + kVectorBlock * kCount <= dim; d += kVectorBlock * kCount)
    weigh_block<Rows, kVectorBlock, T>(c, weights, dim, d, acc);
  for (; d + kCount <= dim; d += kCount) weigh_block<Rows, 1, T>(c, weights, dim, d, acc);
  for (; d < dim; ++d)
    for (int r = 0; r < Rows; ++r)
      for (int64_t p = 0; p < c.count; ++p)
        acc[r * dim + d] += weights[r * kAttentionChunk + p] *
                            load_one(static_cast<const T*>(c.v) + p * c.v_stride + d);
}

// Turns a row's scores into exp(score - max), rescales what came before.
HWY_INLINE void softmax_row(float* scores, int64_t count, int64_t dim, float* max, float* sum,
                            float* acc) {
  const int64_t lanes = static_cast<int64_t>(kLanes);
  V tops = hn::Set(F32(), *max);
  int64_t p = 0;
  for (; p + lanes <= count; p += lanes) tops = hn::Max(tops, load(scores + p));
  float top = hn::GetLane(hn::MaxOfLanes(F32(), tops));
  for (; p < count; ++p) top = scores[p] > top ? scores[p] : top;
  if (top > *max) {
    const float shrink = *sum > 0.0f ? std::exp(*max - top) : 0.0f;
    *sum *= shrink;
    for (int64_t d = 0; d < dim; ++d) acc[d] *= shrink;
    *max = top;
  }
  const V shift = hn::Set(F32(), top);
  V total = hn::Zero(F32());
  for (p = 0; p + lanes <= count; p += lanes) {
    const V e = hn::Exp(F32(), hn::Sub(load(scores + p), shift));
    total = hn::Add(total, e);
    hn::StoreU(e, F32(), scores + p);
  }
  float rest = sum_lanes(total);
  for (; p < count; ++p) rest += scores[p] = std::exp(scores[p] - top);
  *sum += rest;
}

// Calls f.template operator()<Rows>(first row) for blocks of at most kRowBlock rows.
template <class F>
HWY_INLINE void for_row_blocks(int rows, const F& f) {
  int r = 0;
  for (; r + kRowBlock <= rows; r += kRowBlock) f.template operator()<kRowBlock>(r);
  switch (rows - r) {
    case 3:
      return f.template operator()<3>(r);
    case 2:
      return f.template operator()<2>(r);
    case 1:
      return f.template operator()<1>(r);
    default:
      return;
  }
}

// Calls f(T{}) with the storage type of `dtype`.
template <class F>
HWY_INLINE void with_type(DType dtype, const F& f) {
  switch (dtype) {
    case DType::kF16:
      return f(Half{});
    case DType::kBF16:
      return f(Brain{});
    default:
      return f(0.0f);
  }
}

void AttendChunk(const AttentionChunk& c, const float* q, int rows, int64_t dim, float scale,
                 const AttentionState& state, float* scores) {
  with_type(c.k_dtype, [&]<class T>(T) {
    for_row_blocks(rows, [&]<int Rows>(int r) {
      score<Rows, T>(c, q + r * dim, dim, scale, scores + r * kAttentionChunk);
    });
  });
  for (int r = 0; r < rows; ++r)
    softmax_row(scores + r * kAttentionChunk, c.count, dim, state.max + r, state.sum + r,
                state.acc + r * dim);
  with_type(c.v_dtype, [&]<class T>(T) {
    for_row_blocks(rows, [&]<int Rows>(int r) {
      weigh<Rows, T>(c, scores + r * kAttentionChunk, dim, state.acc + r * dim);
    });
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace kvtoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvtoll::cpu {
HWY_EXPORT(AttendChunk);
void attend_chunk(const AttentionChunk& chunk, const float* q, int rows, int64_t dim, float scale,
                  const AttentionState& state, float* scores) {
  HWY_DYNAMIC_DISPATCH(AttendChunk)(chunk, q, rows, dim, scale, state, scores);
}
}  // namespace kvtoll::cpu
#endif
