// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The decode attention kernel: every warp copies tiles of 16 tokens, one contiguous piece of keys
// and one of values each, into a ring of its own and keeps a running softmax over them.
#pragma once

#include "kvtoll/backends/cuda/attention_combine.cuh"
#include "kvtoll/backends/cuda/attention_decode.h"
#include "kvtoll/backends/cuda/attention_tiles.cuh"
#include "kvtoll/backends/cuda/copy_ring.cuh"
#include "kvtoll/backends/cuda/next_weights.cuh"
#include "kvtoll/backends/cuda/tuning/attention_shape.h"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {

struct SplitRange {
  int begin, end;  // positions
};
// Equal shares in whole tiles of 16 tokens.
__device__ __forceinline__ SplitRange split_range(int tokens, int split, int splits) {
  const int tiles = (tokens + 15) / 16;
  return {int(int64_t(tiles) * split / splits) * 16,
          min(tokens, int(int64_t(tiles) * (split + 1) / splits) * 16)};
}

template <int kDim>
using TokenRing = CopyRing<attention_depth(kDim), 16 * kDim * 2>;

// Asks for the tiles of one warp in turn: keys, then values.
template <int kDim, int kWarps>
struct TileWalk {
  const unsigned char *k, *v;  // position 0 of the head
  int next, end;               // positions
  int copied;                  // positions from here on do not come through the ring
  bool values = false;

  __device__ __forceinline__ void request_next(TokenRing<kDim>& ring) {
    if (next >= end) return ring.skip();
    const int bytes = max(0, min(16, copied - next)) * kDim * 2;
    ring.expect(bytes);
    if (bytes > 0) ring.copy(0, (values ? v : k) + int64_t(next) * kDim * 2, bytes);
    ring.submit();
    if (values) next += kWarps * 16;
    values = !values;
  }
};

// What the kernel before this one wrote: the queries of a group of heads, and the key and value of
// the step's own token. While weights stream, a load takes microseconds and the last of many is the
// one that counts: so every vector of 16 bytes is loaded once, all at the same time.
template <int kDim>
struct StepInput {
  static constexpr int kVectors = kDim / 8;
  static constexpr int kStride = kVectors + (12 - kVectors % 8) % 8;  // two heads on all banks
  uint4 query[8][kStride], key[kVectors], value[kVectors];

  // All threads of the block; q: [heads, kDim]; k, v: the token's, or null.
  template <int kThreads>
  __device__ __forceinline__ void load(const void* q, const void* k, const void* v, int heads) {
    for (int i = threadIdx.x; i < (8 + 2) * kVectors; i += kThreads) {
      const int part = i / kVectors, at = i % kVectors;
      const void* from = part < 8 ? q : part == 8 ? k : v;
      if (part < heads) from = static_cast<const uint4*>(q) + part * kVectors;
      const bool there = part < 8 ? part < heads : from != nullptr;
      uint4* to = part < 8 ? query[part] : part == 8 ? key : value;
      to[at] = there ? __ldcg(static_cast<const uint4*>(from) + at) : uint4{};
    }
  }
  static __device__ __forceinline__ void put(unsigned char* tile, const uint4* vector, int row,
                                             int lane) {
    if (lane < kVectors) reinterpret_cast<uint4*>(tile + row * kDim * 2)[lane] = vector[lane];
    __syncwarp();
  }
};

// Values of tokens that do not exist are multiplied by probability 0: make them numbers.
template <int kDim>
__device__ __forceinline__ void clear_rows(unsigned char* values, int tokens, int lane) {
  for (int i = tokens * kDim / 8 + lane; i < 16 * kDim / 8; i += 32)
    reinterpret_cast<uint4*>(values)[i] = uint4{};
  __syncwarp();
}

// Grid: splits x (kv_heads * head groups of 8) x rows, in clusters along the splits. A sequence
// uses as many of the splits as it has tiles for; the other blocks return at once.
template <class T, int kDim, int kWarps>
__global__ void __launch_bounds__(kWarps * 32, 1) attention_decode_kernel(AttentionParams p) {
  extern __shared__ __align__(128) unsigned char attention_shared[];
  using Ring = TokenRing<kDim>;
  pdl_trigger();
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  const int gqa = p.heads / p.cache.kv_heads, groups = (gqa + 7) / 8;
  const int kv_head = blockIdx.y / groups, group = blockIdx.y % groups, row = blockIdx.z;
  const int first_head = kv_head * gqa + group * 8, heads = min(8, gqa - group * 8);
  const int slot = row_slot(p.rows, row), position = row_position(p.rows, row);
  const int cluster_size = cluster_blocks();
  const int splits = min(gridDim.x, (position + kWarps * 16) / (kWarps * 16));
  if (blockIdx.x >= splits) return;  // block 0 always stays and waits for the kernels before
  const SplitRange range = split_range(position + 1, blockIdx.x, splits);
  const int64_t at = (int64_t(p.slot_is_row ? row : slot) * p.cache.kv_heads + kv_head) *
                     p.cache.capacity * kDim * 2;
  const int first = range.begin + warp * 16;
  // Materialized copies are made in this step; otherwise all but one token was there before it.
  const int fresh_at = p.slot_is_row ? range.end : position;
  TileWalk<kDim, kWarps> walk{static_cast<const unsigned char*>(p.cache.k) + at,
                              static_cast<const unsigned char*>(p.cache.v) + at, first, range.end,
                              fresh_at};
  auto& inbox = *reinterpret_cast<BlockInbox<kDim>*>(attention_shared + kWarps * Ring::kBytes);
  auto& input = *reinterpret_cast<StepInput<kDim>*>(&inbox + 1);
  auto* barriers = reinterpret_cast<uint64_t*>(&input + 1);
  Ring ring(attention_shared + warp * Ring::kBytes, barriers + warp * attention_depth(kDim), lane);

  // One cluster sees all of the sequence, or every block is one of its own.
  ClusterMerge<kDim, kWarps> merge(inbox, cluster_size > 1 ? int(blockIdx.x) : 0,
                                   cluster_size > 1 ? splits : 1, heads);
  const bool whole = cluster_size > 1 || splits == 1;
  if (whole) merge.open();

  // --- tiles of earlier steps may flow before this step's kernels are done
  if (!p.slot_is_row)
    for (int i = 0; i < attention_depth(kDim); ++i) walk.request_next(ring);
  if (whole) merge.opened();
  pdl_wait();
  if (p.slot_is_row)
    for (int i = 0; i < attention_depth(kDim); ++i) walk.request_next(ring);
  const float scale = 1.4426950408889634f * rsqrtf(float(kDim));
  RunningSoftmax<kDim> softmax;
  const bool has_fresh = fresh_at < range.end;
  input.template load<kWarps * 32>(
      static_cast<const T*>(p.q) + (int64_t(row) * p.heads + first_head) * kDim,
      has_fresh ? walk.k + int64_t(fresh_at) * kDim * 2 : nullptr,
      has_fresh ? walk.v + int64_t(fresh_at) * kDim * 2 : nullptr, heads);
  __syncthreads();
  QueryFragment<kDim> query;
  query.load(&input.query[g][0], c);

  // --- this warp's tiles
  for (int t = first; t < range.end; t += kWarps * 16) {
    const bool fresh = fresh_at < min(t + 16, range.end);
    float s[4] = {};
    unsigned char* keys = ring.wait();
    if (fresh) input.put(keys, input.key, fresh_at - t, lane);
    multiply_keys<T, kDim>(s, keys, query, g, c);
    ring.release();
    walk.request_next(ring);
    uint32_t p0, p1;
    softmax.template step<T>(s, scale, g, range.end - t, p0, p1);
    unsigned char* values = ring.wait();
    if (fresh) input.put(values, input.value, fresh_at - t, lane);
    if (range.end - t < 16) clear_rows<kDim>(values, range.end - t, lane);
    multiply_values<T, kDim>(softmax.out, values, p0, p1, g, c);
    ring.release();
    walk.request_next(ring);
  }

  prefetch_next<kWarps>(p.next, blockIdx.y * splits + blockIdx.x, gridDim.y * splits, warp);

  // --- the warps' results, where the rings were; then the blocks'
  __syncthreads();
  auto* results = reinterpret_cast<WarpResult<kDim>*>(attention_shared);
  store_result<kDim>(results[warp], softmax, g, c);
  __syncthreads();
  const int64_t out_at = (int64_t(row) * p.heads + first_head) * kDim;
  if (whole) {
    merge_warps<kDim, kWarps>(results, heads,
                              [&](int i, float4 out, float2 stats) { merge.send(i, out, stats); });
    return merge.finish(p, out_at);
  }
  const int64_t item0 = (int64_t(row) * gridDim.y + blockIdx.y) * gridDim.x;
  const int64_t item = item0 + blockIdx.x;
  merge_warps<kDim, kWarps>(results, heads, [&](int i, float4 out, float2 stats) {
    __stcg(reinterpret_cast<float4*>(p.partial + item * 8 * kDim) + i, out);
    if (i * 4 % kDim == 0) __stcg(p.stats + item * 8 + i * 4 / kDim, stats);
  });
  if (!last_to_arrive(p.arrived + int64_t(row) * gridDim.y + blockIdx.y, splits)) return;
  combine_splits<kDim, kWarps>(p, reinterpret_cast<float*>(attention_shared), item0, splits, heads,
                               out_at);
}

}  // namespace kvtoll::cuda
