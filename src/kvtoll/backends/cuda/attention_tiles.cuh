// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A tile of 16 tokens in decode attention. Tokens are the m of the tensor-core product and query
// heads its n:
//   S^T [16 tokens, 8 heads] = K [16, dim] Q^T,   O^T [dim, 8] += V^T [dim, 16 tokens] P^T.
// Both products are free to permute what they sum over or number their rows, so fragments are read
// 16 bytes at a time (lane = 4 g + c) with no transposed copy:
//   K: lane reads dims 32 j + 8 c .. + 7 of tokens g and g + 8: the k indices of two products;
//   V: lane reads dims 64 j + 8 g .. + 7 of tokens 2c, 2c+1, 2c+8, 2c+9; pairs of tokens are
//      interleaved with byte permutes, and row g of product i is dim 8 g + 2 i, row g + 8 the next.
#pragma once

#include "kvtoll/backends/cuda/numeric.cuh"

namespace kvtoll::cuda {

// The queries of 8 heads, one vector of kDim 16-bit values each: 32 dims a chunk, 16 more for 80.
template <int kDim>
struct QueryFragment {
  static constexpr int kChunks = kDim / 32, kTail = kDim % 32 / 16;
  uint4 chunk[kChunks];
  uint2 tail;

  // head: kDim values in shared memory.
  __device__ __forceinline__ void load(const uint4* head, int c) {
#pragma unroll
    for (int j = 0; j < kChunks; ++j) chunk[j] = head[4 * j + c];
    if constexpr (kTail != 0) tail = reinterpret_cast<const uint2*>(head + 4 * kChunks)[c];
  }
};

// S^T += K Q^T for the 16 keys in shared memory.
template <class T, int kDim>
__device__ __forceinline__ void multiply_keys(float (&s)[4], const unsigned char* keys,
                                              const QueryFragment<kDim>& q, int g, int c) {
  using Q = QueryFragment<kDim>;
  const unsigned char *low = keys + g * kDim * 2, *high = low + 8 * kDim * 2;
#pragma unroll
  for (int j = 0; j < Q::kChunks; ++j) {
    const uint4 a = *reinterpret_cast<const uint4*>(low + 64 * j + 16 * c);
    const uint4 b = *reinterpret_cast<const uint4*>(high + 64 * j + 16 * c);
    mma16816<T>(s, a.x, b.x, a.y, b.y, q.chunk[j].x, q.chunk[j].y);
    mma16816<T>(s, a.z, b.z, a.w, b.w, q.chunk[j].z, q.chunk[j].w);
  }
  if constexpr (Q::kTail) {
    const uint2 a = *reinterpret_cast<const uint2*>(low + 64 * Q::kChunks + 8 * c);
    const uint2 b = *reinterpret_cast<const uint2*>(high + 64 * Q::kChunks + 8 * c);
    mma16816<T>(s, a.x, b.x, a.y, b.y, q.tail.x, q.tail.y);
  }
}

// O^T tile += the 16 dims whose pairs are a (tokens 2c), b (2c+1), c (2c+8), d (2c+9).
template <class T>
__device__ __forceinline__ void multiply_pairs(float (&o)[4], uint32_t a, uint32_t b, uint32_t c,
                                               uint32_t d, uint32_t p0, uint32_t p1) {
  mma16816<T>(o, __byte_perm(a, b, 0x5410), __byte_perm(a, b, 0x7632), __byte_perm(c, d, 0x5410),
              __byte_perm(c, d, 0x7632), p0, p1);
}

// How a value vector is cut: blocks of 64 dims (16 bytes a lane and token), then 32, then 16.
template <int kDim>
struct ValueCut {
  static constexpr int k64 = kDim / 64, k32 = kDim % 64 / 32, k16 = kDim % 32 / 16;
};

// O^T += V^T P^T for the 16 values in shared memory.
template <class T, int kDim>
__device__ __forceinline__ void multiply_values(float (&o)[kDim / 16][4],
                                                const unsigned char* values, uint32_t p0,
                                                uint32_t p1, int g, int c) {
  using V = ValueCut<kDim>;
  const unsigned char* row[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) row[i] = values + (2 * c + (i & 1) + (i >> 1) * 8) * kDim * 2;
#pragma unroll
  for (int j = 0; j < V::k64; ++j) {
    uint4 x[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] = *reinterpret_cast<const uint4*>(row[i] + 128 * j + 16 * g);
    multiply_pairs<T>(o[4 * j + 0], x[0].x, x[1].x, x[2].x, x[3].x, p0, p1);
    multiply_pairs<T>(o[4 * j + 1], x[0].y, x[1].y, x[2].y, x[3].y, p0, p1);
    multiply_pairs<T>(o[4 * j + 2], x[0].z, x[1].z, x[2].z, x[3].z, p0, p1);
    multiply_pairs<T>(o[4 * j + 3], x[0].w, x[1].w, x[2].w, x[3].w, p0, p1);
  }
  if constexpr (V::k32) {
    uint2 x[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      x[i] = *reinterpret_cast<const uint2*>(row[i] + 128 * V::k64 + 8 * g);
    multiply_pairs<T>(o[4 * V::k64], x[0].x, x[1].x, x[2].x, x[3].x, p0, p1);
    multiply_pairs<T>(o[4 * V::k64 + 1], x[0].y, x[1].y, x[2].y, x[3].y, p0, p1);
  }
  if constexpr (V::k16) {
    uint32_t x[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      x[i] = *reinterpret_cast<const uint32_t*>(row[i] + 128 * V::k64 + 64 * V::k32 + 4 * g);
    multiply_pairs<T>(o[4 * V::k64 + 2 * V::k32], x[0], x[1], x[2], x[3], p0, p1);
  }
}

// The first of the two dims (next to each other) that tile i's rows g and g + 8 are.
template <int kDim>
__device__ __forceinline__ int value_dim(int tile, int g) {
  using V = ValueCut<kDim>;
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

}  // namespace kvtoll::cuda
