// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How results of decode attention are added up: a block's warps in its shared memory, the blocks of
// a cluster by reading each other's, clusters of one sequence through global memory by the last
// block to arrive. A result is an output that is not divided yet, with its running maximum (base 2)
// and sum (Milakov and Gimelshein 2018).
#pragma once

#include "kvtoll/backends/cuda/attention_decode.h"
#include "kvtoll/backends/cuda/attention_tiles.cuh"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/backends/cuda/tuning/attention_shape.h"
#include "kvtoll/device/cluster.cuh"

namespace kvtoll::cuda {

// What one warp found, in shared memory. Pairs of heads lie 8 bytes further apart than they are
// long, so that the lanes of store_result write to different banks.
template <int kDim>
struct WarpResult {
  float out[8 * kDim + 8];
  float2 stats[8];  // maximum, sum

  static __device__ __forceinline__ int at(int head, int dim) {
    return head * kDim + head / 2 * 2 + dim;
  }
};

// The share of a sequence's outputs that one block of a cluster finishes: vectors of 4 floats from
// every block, each with its maximum and sum.
template <int kDim>
struct BlockInbox {
  static constexpr int kVectors = 8 * kDim / 4 + kMaxCluster;  // shares are rounded up
  float4 out[kVectors], stats[kVectors];                       // stats: maximum, sum, unused
  ClusterInbox arrived;
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
      *reinterpret_cast<float2*>(&to.out[to.at(2 * c + i, dim)]) =
          make_float2(from.out[tile][i], from.out[tile][2 + i]);
  }
  if (g == 0)
#pragma unroll
    for (int i = 0; i < 2; ++i) to.stats[2 * c + i] = make_float2(from.maximum[i], from.sum[i]);
}

// What a result with these statistics counts when the largest maximum is `top`; 0 if it saw
// nothing.
__device__ __forceinline__ float result_weight(float2 stats, float top) {
  return stats.y > 0.0f ? exp2f(stats.x - top) : 0.0f;
}

__device__ __forceinline__ void add_scaled(float4& sum, float w, float4 v) {
  sum.x += w * v.x, sum.y += w * v.y, sum.z += w * v.z, sum.w += w * v.w;
}

// Adds up the warps' results; emit(vector, sum of 4 outputs, statistics of the head).
template <int kDim, int kWarps, class Emit>
__device__ __forceinline__ void merge_warps(const WarpResult<kDim>* from, int heads, Emit emit) {
  for (int i = threadIdx.x; i < heads * kDim / 4; i += kWarps * 32) {
    const int head = i * 4 / kDim, at = from[0].at(head, i * 4 % kDim);
    float2 stats[kWarps];
    float4 out{};
    float top = -INFINITY, sum = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      stats[w] = from[w].stats[head];
      top = fmaxf(top, stats[w].x);
    }
#pragma unroll
    for (int w = 0; w < kWarps; ++w) {
      const float weight = result_weight(stats[w], top);
      const float2 low = *reinterpret_cast<const float2*>(&from[w].out[at]);
      const float2 high = *reinterpret_cast<const float2*>(&from[w].out[at + 2]);
      sum += weight * stats[w].y;
      add_scaled(out, weight, make_float4(low.x, low.y, high.x, high.y));
    }
    emit(i, out, make_float2(top, sum));
  }
}

template <class Out>
__device__ __forceinline__ void store4(void* out, int64_t at, float4 v) {
  uint2 packed;
  packed.x = pack2<Out>(v.x, v.y);
  packed.y = pack2<Out>(v.z, v.w);
  *reinterpret_cast<uint2*>(static_cast<Out*>(out) + at) = packed;
}

__device__ __forceinline__ void store_attended(const AttentionParams& p, int64_t at, float4 v) {
  if (p.out_dtype == DType::kF16)
    store4<__half>(p.out, at, v);
  else
    store4<__nv_bfloat16>(p.out, at, v);
}

// Block `rank` of the `blocks` of a cluster that have seen a sequence: every one sends its result
// to those that finish it, and finishes its own share. All threads of these blocks call.
template <int kDim, int kWarps>
struct ClusterMerge {
  BlockInbox<kDim>& inbox;
  int rank, blocks, vectors, share;

  __device__ __forceinline__ ClusterMerge(BlockInbox<kDim>& to, int block, int count, int heads)
      : inbox(to),
        rank(block),
        blocks(count),
        vectors(heads * kDim / 4),
        share((vectors + count - 1) / count) {}

  __device__ __forceinline__ int own() const { return max(0, min(share, vectors - rank * share)); }
  // The inbox may be sent to from opened() on. One block alone needs neither.
  __device__ __forceinline__ void open() {
    if (blocks == 1) return;
    if (threadIdx.x == 0) inbox.arrived.init(own() * blocks * 2 * int(sizeof(float4)));
    __syncwarp();
    cluster_arrive();
  }
  __device__ __forceinline__ void opened() {
    if (blocks > 1) cluster_wait();
  }
  __device__ __forceinline__ void send(int vector, float4 out, float2 stats) {
    const int to = vector / share, at = rank * share + vector % share;
    const float4 statistics = make_float4(stats.x, stats.y, 0.0f, 0.0f);
    if (blocks == 1) {
      inbox.out[at] = out;
      inbox.stats[at] = statistics;
      return;
    }
    send_to_block(&inbox.out[at], out, &inbox.arrived, to);
    send_to_block(&inbox.stats[at], statistics, &inbox.arrived, to);
  }
  // A group of lanes has one vector: each lane one block's.
  __device__ __forceinline__ void finish(const AttentionParams& p, int64_t out_at) {
    if (blocks == 1)
      __syncthreads();
    else
      inbox.arrived.wait();
    const int group = blocks > 1 ? 1 << (32 - __clz(blocks - 1)) : 1;  // a power of two
    const int source = threadIdx.x & (group - 1);
    for (int begin = 0; begin < own(); begin += kWarps * 32 / group) {
      const int i = begin + static_cast<int>(threadIdx.x) / group;
      float4 v{}, stats{-INFINITY, 0.0f, 0.0f, 0.0f};
      if (i < own() && source < blocks) {
        v = inbox.out[source * share + i];
        stats = inbox.stats[source * share + i];
      }
      float top = stats.x;
      for (int o = 1; o < group; o <<= 1) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, o));
      const float weight = result_weight(make_float2(stats.x, stats.y), top);
      float sum = weight * stats.y;
      float4 out{weight * v.x, weight * v.y, weight * v.z, weight * v.w};
      for (int o = 1; o < group; o <<= 1) {
        sum += __shfl_xor_sync(0xffffffffu, sum, o);
        out.x += __shfl_xor_sync(0xffffffffu, out.x, o);
        out.y += __shfl_xor_sync(0xffffffffu, out.y, o);
        out.z += __shfl_xor_sync(0xffffffffu, out.z, o);
        out.w += __shfl_xor_sync(0xffffffffu, out.w, o);
      }
      if (source != 0 || i >= own()) continue;
      const float scale = __frcp_rn(sum);
      store_attended(p, out_at + (rank * share + i) * 4,
                     {out.x * scale, out.y * scale, out.z * scale, out.w * scale});
    }
  }
};

// True in all threads of the last of `count` blocks to arrive, which then sees what all of them
// wrote; the counter is zero again after it. One thread releases and acquires for its block.
__device__ __forceinline__ bool last_to_arrive(unsigned* counter, unsigned count) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned before;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;"
                 : "=r"(before)
                 : "l"(counter)
                 : "memory");
    last = before + 1 == count;
    if (last) *counter = 0;
  }
  __syncthreads();
  return last;
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

// The output of `heads` heads from `splits` partial results. The first loads are on their way while
// the weights are found; each round of loads takes a microsecond or more while weights stream.
template <int kDim, int kWarps>
__device__ __forceinline__ void combine_splits(const AttentionParams& p, float* weights,
                                               int64_t item0, int splits, int heads,
                                               int64_t out_at) {
  constexpr int kHeld = 34, kStride = 8 * kDim / 4;  // float4 from one split to the next
  const float4* partial = reinterpret_cast<const float4*>(p.partial + item0 * 8 * kDim);
  const int n = heads * kDim / 4;
  float4 held[kHeld];
  const auto load = [&](int vector, int first) {
#pragma unroll
    for (int s = 0; s < kHeld; ++s)
      if (first + s < splits && vector < n)
        held[s] = __ldcg(partial + int64_t(first + s) * kStride + vector);
  };
  load(threadIdx.x, 0);
  split_weights<kWarps>(p, weights, item0, splits, heads);
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += kWarps * 32) {
    const float* weight = weights + i * 4 / kDim * kMaxSplits;
    float4 out{};
    for (int first = 0; first < splits; first += kHeld) {
      if (first > 0 || i >= kWarps * 32) load(i, first);
#pragma unroll
      for (int s = 0; s < kHeld; ++s)
        if (first + s < splits) add_scaled(out, weight[first + s], held[s]);
    }
    store_attended(p, out_at + i * 4, out);
  }
}

}  // namespace kvtoll::cuda
