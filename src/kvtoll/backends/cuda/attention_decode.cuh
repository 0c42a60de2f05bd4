// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The decode attention kernels. Tokens are the m of the tensor-core product and query heads its n:
//   S^T [16 tokens, 8 heads] = K [16, dim] Q^T,   O^T [dim, 8] += V^T [dim, 16 tokens] P^T.
// A tile of 16 tokens is one contiguous piece of keys and one of values, which each warp copies
// into a ring of its own. Both products are free to permute what they sum over or number their
// rows, so fragments are read 16 bytes at a time (lane = 4 g + c) with no transposed copy:
//   K: lane reads dims 32 j + 8 c .. + 7 of tokens g and g + 8: the k indices of two products;
//   V: lane reads dims 64 j + 8 g .. + 7 of tokens 2c, 2c+1, 2c+8, 2c+9; pairs of tokens are
//      interleaved with byte permutes, and row g of product i is dim 8 g + 2 i, row g + 8 the next.
#pragma once

#include "kvtoll/backends/cuda/attention_decode.h"
#include "kvtoll/backends/cuda/copy_ring.cuh"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/backends/cuda/tuning/attention_shape.h"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {

// The queries of 8 heads, one vector of kDim 16-bit values each: 32 dims a chunk, 16 more for 80.
template <int kDim>
struct QueryFragment {
  static constexpr int kChunks = kDim / 32, kTail = kDim % 32 / 16;
  uint4 chunk[kChunks];
  uint2 tail;

  template <class T>
  __device__ __forceinline__ void load(const T* row, bool valid, int c) {
#pragma unroll
    for (int j = 0; j < kChunks; ++j)
      chunk[j] = valid ? __ldcg(reinterpret_cast<const uint4*>(row + 32 * j + 8 * c)) : uint4{};
    tail = uint2{};
    if (kTail && valid) tail = __ldcg(reinterpret_cast<const uint2*>(row + 32 * kChunks + 4 * c));
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

// True in all threads of the last of `count` blocks to arrive; the counter is zero again after it.
__device__ __forceinline__ bool last_to_arrive(unsigned* counter, int count) {
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    last = atomicAdd(counter, 1u) + 1 == static_cast<unsigned>(count);
    if (last) *counter = 0;
  }
  __syncthreads();
  if (last) __threadfence();
  return last;
}

__device__ __forceinline__ void add_scaled(float4& sum, float w, float4 v) {
  sum.x += w * v.x, sum.y += w * v.y, sum.z += w * v.z, sum.w += w * v.w;
}

// weights [8][kMaxSplits] in shared memory: what each split's partial output of each head counts.
template <int kWarps>
__device__ __forceinline__ void split_weights(const AttentionParams& p, float* weights,
                                              int64_t item0, int splits, int heads) {
  constexpr int kHeld = kMaxSplits / 32;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int head = warp; head < heads; head += kWarps) {
    float2 stats[kHeld];
    float top = -INFINITY, sum = 0.0f;
#pragma unroll
    for (int j = 0; j < kHeld; ++j) {
      const int i = lane + 32 * j;
      stats[j] = i < splits ? __ldcg(p.stats + (item0 + i) * 8 + head) : float2{-INFINITY, 0.0f};
      top = fmaxf(top, stats[j].x);
    }
#pragma unroll
    for (int offset = 16; offset > 0; offset >>= 1)
      top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, offset));
#pragma unroll
    for (int j = 0; j < kHeld; ++j) {
      stats[j].x = exp2f(stats[j].x - top);
      sum += stats[j].x * stats[j].y;
    }
    sum = 1.0f / warp_sum(sum);
#pragma unroll
    for (int j = 0; j < kHeld; ++j)
      if (lane + 32 * j < splits) weights[head * kMaxSplits + lane + 32 * j] = stats[j].x * sum;
  }
}

template <class Out>
__device__ __forceinline__ void store4(void* out, int64_t at, float4 v) {
  uint2 packed;
  packed.x = pack2<Out>(v.x, v.y);
  packed.y = pack2<Out>(v.z, v.w);
  *reinterpret_cast<uint2*>(static_cast<Out*>(out) + at) = packed;
}

// The output of `heads` heads from `splits` partial results. The first loads are on their way while
// the weights are found.
template <int kDim, int kWarps>
__device__ __forceinline__ void combine_splits(const AttentionParams& p, float* weights,
                                               int64_t item0, int splits, int heads,
                                               int64_t out_at) {
  constexpr int kHeld = 12, kStride = 8 * kDim / 4;  // float4 from one split to the next
  const float4* partial = reinterpret_cast<const float4*>(p.partial + item0 * 8 * kDim);
  const int n = heads * kDim / 4;
  float4 held[kHeld];
#pragma unroll
  for (int s = 0; s < kHeld; ++s)
    if (s < splits && threadIdx.x < n)
      held[s] = __ldcg(partial + int64_t(s) * kStride + threadIdx.x);
  split_weights<kWarps>(p, weights, item0, splits, heads);
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += kWarps * 32) {
    const float* weight = weights + i * 4 / kDim * kMaxSplits;
    float4 out{};
#pragma unroll
    for (int s = 0; s < kHeld; ++s)
      if (s < splits)
        add_scaled(out, weight[s], i < kWarps * 32 ? held[s] : __ldcg(partial + s * kStride + i));
#pragma unroll 8
    for (int s = kHeld; s < splits; ++s)
      add_scaled(out, weight[s], __ldcg(partial + int64_t(s) * kStride + i));
    if (p.out_dtype == DType::kF16)
      store4<__half>(p.out, out_at + i * 4, out);
    else
      store4<__nv_bfloat16>(p.out, out_at + i * 4, out);
  }
}

template <int kDim>
using TokenRing = CopyRing<attention_depth(kDim), 16 * kDim * 2>;

// Asks for the tiles of one warp in turn: keys, then values.
template <int kDim, int kWarps>
struct TileWalk {
  const unsigned char *k, *v;  // position 0 of the head
  int next, end;               // positions
  bool values = false;

  __device__ __forceinline__ void request_next(TokenRing<kDim>& ring) {
    if (next >= end) return ring.skip();
    const int bytes = min(16, end - next) * kDim * 2;
    ring.expect(bytes);
    ring.copy(0, (values ? v : k) + int64_t(next) * kDim * 2, bytes);
    ring.submit();
    if (values) next += kWarps * 16;
    values = !values;
  }
};

// Values of tokens that do not exist are multiplied by probability 0: make them numbers.
template <int kDim>
__device__ __forceinline__ void clear_rows(unsigned char* values, int tokens, int lane) {
  for (int i = tokens * kDim / 8 + lane; i < 16 * kDim / 8; i += 32)
    reinterpret_cast<uint4*>(values)[i] = uint4{};
  __syncwarp();
}

// Grid: splits x (kv_heads * head groups of 8) x rows. A sequence uses as many of the splits as it
// has tiles for; the last of them to finish combines their results.
template <class T, int kDim, int kWarps>
__global__ void __launch_bounds__(kWarps * 32, attention_blocks(kDim))
    attention_decode_kernel(AttentionParams p) {
  extern __shared__ __align__(128) unsigned char attention_shared[];
  using Ring = TokenRing<kDim>;
  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  const int gqa = p.heads / p.cache.kv_heads, groups = (gqa + 7) / 8;
  const int kv_head = blockIdx.y / groups, group = blockIdx.y % groups, row = blockIdx.z;
  const int first_head = kv_head * gqa + group * 8, heads = min(8, gqa - group * 8);
  const int slot = row_slot(p.rows, row), position = row_position(p.rows, row);
  const int splits = min(gridDim.x, (position + kWarps * 16) / (kWarps * 16));
  if (blockIdx.x >= splits) return;  // block 0 always stays and waits for the kernels before
  const SplitRange range = split_range(position + 1, blockIdx.x, splits);
  const int64_t at = (int64_t(p.slot_is_row ? row : slot) * p.cache.kv_heads + kv_head) *
                     p.cache.capacity * kDim * 2;
  const int first = range.begin + warp * 16;
  TileWalk<kDim, kWarps> walk{static_cast<const unsigned char*>(p.cache.k) + at,
                              static_cast<const unsigned char*>(p.cache.v) + at, first, range.end};
  auto* barriers = reinterpret_cast<uint64_t*>(attention_shared + kWarps * Ring::kBytes);
  Ring ring(attention_shared + warp * Ring::kBytes, barriers + warp * attention_depth(kDim), lane);

  // --- tiles of earlier steps may flow before this step's kernels are done
  int asked = 0;
  if (!p.slot_is_row)
    for (; asked < attention_depth(kDim) && walk.next + 16 <= position; ++asked)
      walk.request_next(ring);
  pdl_wait();
  for (; asked < attention_depth(kDim); ++asked) walk.request_next(ring);
  const float scale = 1.4426950408889634f * rsqrtf(float(kDim));
  RunningSoftmax<kDim> softmax;
  QueryFragment<kDim> query;
  query.load(static_cast<const T*>(p.q) + (int64_t(row) * p.heads + first_head + g) * kDim,
             g < heads, c);

  // --- this warp's tiles
  for (int t = first; t < range.end; t += kWarps * 16) {
    float s[4] = {};
    multiply_keys<T, kDim>(s, ring.wait(), query, g, c);
    ring.release();
    walk.request_next(ring);
    uint32_t p0, p1;
    softmax.template step<T>(s, scale, g, range.end - t, p0, p1);
    unsigned char* values = ring.wait();
    if (range.end - t < 16) clear_rows<kDim>(values, range.end - t, lane);
    multiply_values<T, kDim>(softmax.out, values, p0, p1, g, c);
    ring.release();
    walk.request_next(ring);
  }

  // --- one result a block, where the rings were
  __syncthreads();
  auto* results = reinterpret_cast<WarpResult<kDim>*>(attention_shared);
  store_result<kDim>(results[warp], softmax, g, c);
  __syncthreads();
  const int64_t item0 = (int64_t(row) * gridDim.y + blockIdx.y) * gridDim.x;
  write_partial<kDim, kWarps>(p, results, item0 + blockIdx.x, heads);
  if (!last_to_arrive(p.arrived + int64_t(row) * gridDim.y + blockIdx.y, splits)) return;
  combine_splits<kDim, kWarps>(p, reinterpret_cast<float*>(attention_shared), item0, splits, heads,
                               (int64_t(row) * p.heads + first_head) * kDim);
}

}  // namespace kvtoll::cuda
