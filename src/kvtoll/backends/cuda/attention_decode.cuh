// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The decode attention kernels. Tokens are the m of the tensor-core product and query heads its n:
//   S^T [16 tokens, 8 heads] = K [16, dim] Q^T,   O^T [dim, 8] += V^T [dim, 16 tokens] P^T.
// Both products are free to permute what they sum over or number their rows, so keys and values go
// from memory to fragments 16 bytes at a time without shared memory (lane = 4 g + c):
//   K: lane reads dims 32 j + 8 c .. + 7 of tokens g and g + 8: the k indices of two products;
//   V: lane reads dims 64 j + 8 g .. + 7 of tokens 2c, 2c+1, 2c+8, 2c+9; pairs of tokens are
//      interleaved with byte permutes, and row g of product i is dim 8 g + 2 i, row g + 8 the next.
#pragma once

#include "kvtoll/backends/cuda/attention_decode.h"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/backends/cuda/tuning/attention_shape.h"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {

// Streams past L1: each byte is read once.
__device__ __forceinline__ uint4 load16(const void* p) {
  uint4 v;
  asm volatile("ld.global.L1::no_allocate.L2::128B.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(p));
  return v;
}
__device__ __forceinline__ uint2 load8(const void* p) {
  uint2 v;
  asm volatile("ld.global.L1::no_allocate.L2::128B.v2.u32 {%0,%1}, [%2];"
               : "=r"(v.x), "=r"(v.y)
               : "l"(p));
  return v;
}
__device__ __forceinline__ uint32_t load4(const void* p) {
  uint32_t v;
  asm volatile("ld.global.L1::no_allocate.u32 %0, [%1];" : "=r"(v) : "l"(p));
  return v;
}

// Keys of 16 tokens (or the queries of 8 heads, one row): 32 dims a chunk, 16 more for dim 80.
template <int kDim, int kRows>
struct KeyFragment {
  static constexpr int kChunks = kDim / 32, kTail = kDim % 32 / 16;
  uint4 chunk[kChunks][kRows];
  uint2 tail[kTail ? 1 : 1][kRows];

  // row[r]: start of a vector of kDim 16-bit values; valid[r]: read it, or take zeros.
  template <class T>
  __device__ __forceinline__ void load(const T* const (&row)[kRows], const bool (&valid)[kRows],
                                       int c) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int j = 0; j < kChunks; ++j)
        chunk[j][r] = valid[r] ? load16(row[r] + 32 * j + 8 * c) : uint4{};
      if constexpr (kTail) tail[0][r] = valid[r] ? load8(row[r] + 32 * kChunks + 4 * c) : uint2{};
    }
  }
};

template <class T, int kDim>
__device__ __forceinline__ void multiply_keys(float (&s)[4], const KeyFragment<kDim, 2>& k,
                                              const KeyFragment<kDim, 1>& q) {
  using K = KeyFragment<kDim, 2>;
#pragma unroll
  for (int j = 0; j < K::kChunks; ++j) {
    const uint4 a = k.chunk[j][0], b = k.chunk[j][1], x = q.chunk[j][0];
    mma16816<T>(s, a.x, b.x, a.y, b.y, x.x, x.y);
    mma16816<T>(s, a.z, b.z, a.w, b.w, x.z, x.w);
  }
  if constexpr (K::kTail) {
    const uint2 a = k.tail[0][0], b = k.tail[0][1], x = q.tail[0][0];
    mma16816<T>(s, a.x, b.x, a.y, b.y, x.x, x.y);
  }
}

// Values of 16 tokens: blocks of 64 dims (16 bytes a lane and token), then 32, then 16.
template <int kDim>
struct ValueFragment {
  static constexpr int k64 = kDim / 64, k32 = kDim % 64 / 32, k16 = kDim % 32 / 16;
  static constexpr int kTiles = kDim / 16;  // products of 16 dims
  uint4 v64[k64 ? k64 : 1][4];
  uint2 v32[4];
  uint32_t v16[4];

  template <class T>
  __device__ __forceinline__ void load(const T* first, int c, int g, int tokens) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int t = 2 * c + (i & 1) + (i >> 1) * 8;
      const bool valid = t < tokens;
      const T* row = first + t * kDim;
#pragma unroll
      for (int j = 0; j < k64; ++j) v64[j][i] = valid ? load16(row + 64 * j + 8 * g) : uint4{};
      if constexpr (k32) v32[i] = valid ? load8(row + 64 * k64 + 4 * g) : uint2{};
      if constexpr (k16) v16[i] = valid ? load4(row + 64 * k64 + 32 * k32 + 2 * g) : 0u;
    }
  }
};

// O^T tile += the 16 dims whose pairs are a (tokens 2c), b (2c+1), c (2c+8), d (2c+9).
template <class T>
__device__ __forceinline__ void multiply_pairs(float (&o)[4], uint32_t a, uint32_t b, uint32_t c,
                                               uint32_t d, uint32_t p0, uint32_t p1) {
  mma16816<T>(o, __byte_perm(a, b, 0x5410), __byte_perm(a, b, 0x7632), __byte_perm(c, d, 0x5410),
              __byte_perm(c, d, 0x7632), p0, p1);
}

template <class T, int kDim>
__device__ __forceinline__ void multiply_values(float (&o)[kDim / 16][4],
                                                const ValueFragment<kDim>& v, uint32_t p0,
                                                uint32_t p1) {
  using V = ValueFragment<kDim>;
#pragma unroll
  for (int j = 0; j < V::k64; ++j) {
    const uint4(&x)[4] = v.v64[j];
    multiply_pairs<T>(o[4 * j + 0], x[0].x, x[1].x, x[2].x, x[3].x, p0, p1);
    multiply_pairs<T>(o[4 * j + 1], x[0].y, x[1].y, x[2].y, x[3].y, p0, p1);
    multiply_pairs<T>(o[4 * j + 2], x[0].z, x[1].z, x[2].z, x[3].z, p0, p1);
    multiply_pairs<T>(o[4 * j + 3], x[0].w, x[1].w, x[2].w, x[3].w, p0, p1);
  }
  if constexpr (V::k32) {
    multiply_pairs<T>(o[4 * V::k64], v.v32[0].x, v.v32[1].x, v.v32[2].x, v.v32[3].x, p0, p1);
    multiply_pairs<T>(o[4 * V::k64 + 1], v.v32[0].y, v.v32[1].y, v.v32[2].y, v.v32[3].y, p0, p1);
  }
  if constexpr (V::k16)
    multiply_pairs<T>(o[4 * V::k64 + 2 * V::k32], v.v16[0], v.v16[1], v.v16[2], v.v16[3], p0, p1);
}

// The first of the two dims (next to each other) that tile i's rows g and g + 8 are.
template <int kDim>
__device__ __forceinline__ int value_dim(int tile, int g) {
  using V = ValueFragment<kDim>;
  if (tile < 4 * V::k64) return 64 * (tile / 4) + 8 * g + 2 * (tile % 4);
  if (V::k32 && tile < 4 * V::k64 + 2) return 64 * V::k64 + 4 * g + 2 * (tile - 4 * V::k64);
  return 64 * V::k64 + 32 * V::k32 + 2 * g;
}

// Running softmax of two heads (columns 2c, 2c + 1) over the tokens one warp has seen.
template <int kDim>
struct RunningSoftmax {
  float maximum[2] = {-INFINITY, -INFINITY};  // base 2, the same in all lanes of a column
  float sum[2] = {0.0f, 0.0f};                // of this lane's tokens only
  float out[kDim / 16][4] = {};

  // s: raw scores of a tile, rows g and g + 8; left: tokens of the tile that exist. Returns the
  // probabilities as fragments for the second product.
  template <class T>
  __device__ __forceinline__ void step(float (&s)[4], float scale, int g, int left, uint32_t& p0,
                                       uint32_t& p1) {
    const bool a = g < left, b = g + 8 < left;
#pragma unroll
    for (int i = 0; i < 4; ++i) s[i] = (i < 2 ? a : b) ? s[i] * scale : -INFINITY;
    float top[2] = {fmaxf(s[0], s[2]), fmaxf(s[1], s[3])};
#pragma unroll
    for (int offset = 4; offset < 32; offset <<= 1) {
      top[0] = fmaxf(top[0], __shfl_xor_sync(0xffffffffu, top[0], offset));
      top[1] = fmaxf(top[1], __shfl_xor_sync(0xffffffffu, top[1], offset));
    }
    if (__any_sync(0xffffffffu, top[0] > maximum[0] || top[1] > maximum[1])) {
      float fade[2];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float next = fmaxf(maximum[i], top[i]);
        fade[i] = exp2f(maximum[i] - next);
        maximum[i] = next;
        sum[i] *= fade[i];
      }
#pragma unroll
      for (auto& tile : out)
#pragma unroll
        for (int i = 0; i < 4; ++i) tile[i] *= fade[i & 1];
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) s[i] = exp2f(s[i] - maximum[i & 1]);
    sum[0] += s[0] + s[2];
    sum[1] += s[1] + s[3];
    p0 = transpose8x8(pack2<T>(s[0], s[1]));
    p1 = transpose8x8(pack2<T>(s[2], s[3]));
  }
};

struct SplitRange {
  int begin, end;  // positions
};
// Equal shares in whole tiles of 16 tokens.
__device__ __forceinline__ SplitRange split_range(int tokens, int split, int splits) {
  const int tiles = (tokens + 15) / 16;
  return {int(int64_t(tiles) * split / splits) * 16,
          min(tokens, int(int64_t(tiles) * (split + 1) / splits) * 16)};
}

// Shared memory of one warp's result: 8 heads of kDim, then maximum and sum of each.
template <int kDim>
struct WarpResult {
  float out[8][kDim];
  float maximum[8], sum[8];
};

template <int kDim>
__device__ __forceinline__ void store_result(WarpResult<kDim>& to, RunningSoftmax<kDim>& from,
                                             int g, int c) {
#pragma unroll
  for (int offset = 4; offset < 32; offset <<= 1) {
    from.sum[0] += __shfl_xor_sync(0xffffffffu, from.sum[0], offset);
    from.sum[1] += __shfl_xor_sync(0xffffffffu, from.sum[1], offset);
  }
#pragma unroll
  for (int tile = 0; tile < kDim / 16; ++tile) {
    const int dim = value_dim<kDim>(tile, g);
#pragma unroll
    for (int i = 0; i < 2; ++i)
      *reinterpret_cast<float2*>(&to.out[2 * c + i][dim]) =
          make_float2(from.out[tile][i], from.out[tile][2 + i]);
  }
  if (g == 0)
#pragma unroll
    for (int i = 0; i < 2; ++i)
      to.maximum[2 * c + i] = from.maximum[i], to.sum[2 * c + i] = from.sum[i];
}

// Adds up the warps' results and writes this split's partial output and statistics.
template <int kDim, int kWarps>
__device__ __forceinline__ void write_partial(const AttentionParams& p,
                                              const WarpResult<kDim>* results, int64_t item,
                                              int heads) {
  for (int i = threadIdx.x; i < heads * kDim; i += kWarps * 32) {
    const int head = i / kDim, dim = i % kDim;
    float top = -INFINITY, sum = 0.0f, out = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) top = fmaxf(top, results[w].maximum[head]);
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float weight =
          results[w].sum[head] > 0.0f ? exp2f(results[w].maximum[head] - top) : 0.0f;
      sum += weight * results[w].sum[head];
      out += weight * results[w].out[head][dim];
    }
    __stcg(p.partial + (item * 8 + head) * kDim + dim, out);
    if (dim == 0) __stcg(p.stats + item * 8 + head, make_float2(top, sum));
  }
}

// Grid: splits x (kv_heads * head groups of 8) x rows.
template <class T, int kDim, int kWarps>
__global__ void __launch_bounds__(kWarps * 32, attention_blocks(kDim))
    attention_split_kernel(AttentionParams p) {
  extern __shared__ __align__(16) unsigned char attention_shared[];
  auto* results = reinterpret_cast<WarpResult<kDim>*>(attention_shared);
  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  const int gqa = p.heads / p.cache.kv_heads, groups = (gqa + 7) / 8;
  const int kv_head = blockIdx.y / groups, group = blockIdx.y % groups, row = blockIdx.z;
  const int first_head = kv_head * gqa + group * 8, heads = min(8, gqa - group * 8);
  const int slot = row_slot(p.rows, row);
  const SplitRange range = split_range(row_position(p.rows, row) + 1, blockIdx.x, gridDim.x);
  const int64_t at =
      (int64_t(p.slot_is_row ? row : slot) * p.cache.kv_heads + kv_head) * p.cache.capacity * kDim;
  const T *k = static_cast<const T*>(p.cache.k) + at, *v = static_cast<const T*>(p.cache.v) + at;
  pdl_wait();

  // --- this warp's tiles, the next one's keys and values on the way while one is worked on
  const float scale = 1.4426950408889634f * rsqrtf(float(kDim));
  RunningSoftmax<kDim> softmax;
  KeyFragment<kDim, 1> query;
  query.load({static_cast<const T*>(p.q) + (int64_t(row) * p.heads + first_head + g) * kDim},
             {g < heads}, c);
  KeyFragment<kDim, 2> keys;
  ValueFragment<kDim> values;
  const auto load_keys = [&](int t) {
    keys.load({k + int64_t(t + g) * kDim, k + int64_t(t + g + 8) * kDim},
              {t + g < range.end, t + g + 8 < range.end}, c);
  };
  int t = range.begin + warp * 16;
  if (t < range.end) {
    load_keys(t);
    values.load(v + int64_t(t) * kDim, c, g, range.end - t);
  }
  for (; t < range.end; t += kWarps * 16) {
    const int next = t + kWarps * 16;
    float s[4] = {};
    multiply_keys<T, kDim>(s, keys, query);
    load_keys(next);
    uint32_t p0, p1;
    softmax.template step<T>(s, scale, g, range.end - t, p0, p1);
    multiply_values<T, kDim>(softmax.out, values, p0, p1);
    values.load(v + int64_t(next) * kDim, c, g, range.end - next);
  }

  // --- one result a block
  store_result<kDim>(results[warp], softmax, g, c);
  __syncthreads();
  const int64_t item = (int64_t(row) * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  write_partial<kDim, kWarps>(p, results, item, heads);
}

// Grid: heads x rows; one thread a dim.
template <int kDim>
__global__ void __launch_bounds__(kDim) attention_combine_kernel(AttentionParams p) {
  pdl_trigger();
  const int head = blockIdx.x, row = blockIdx.y, dim = threadIdx.x;
  const int gqa = p.heads / p.cache.kv_heads, groups = (gqa + 7) / 8;
  const int kv_head = head / gqa, group = head % gqa / 8, lane_head = head % gqa % 8;
  const int64_t item0 =
      (int64_t(row) * p.cache.kv_heads * groups + kv_head * groups + group) * p.splits;
  pdl_wait();
  float top = -INFINITY, sum = 0.0f, out = 0.0f;
  for (int i = 0; i < p.splits; ++i) {
    const float2 s = __ldcg(p.stats + (item0 + i) * 8 + lane_head);
    if (s.y <= 0.0f) continue;  // an empty share of a short sequence
    const float x = __ldcg(p.partial + ((item0 + i) * 8 + lane_head) * kDim + dim);
    const float next = fmaxf(top, s.x), fade = exp2f(top - next), weight = exp2f(s.x - next);
    sum = sum * fade + weight * s.y;
    out = out * fade + weight * x;
    top = next;
  }
  const int64_t at = (int64_t(row) * p.heads + head) * kDim + dim;
  if (p.out_dtype == DType::kF16)
    static_cast<__half*>(p.out)[at] = from_float<__half>(out / sum);
  else
    static_cast<__nv_bfloat16*>(p.out)[at] = from_float<__nv_bfloat16>(out / sum);
}

}  // namespace kvtoll::cuda
