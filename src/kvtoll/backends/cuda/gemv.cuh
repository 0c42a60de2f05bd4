// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The body of the matrix-vector kernels. A block owns a contiguous range of rows; its warps split
// every row between them along k, so all are equally busy whatever the number of rows, and one more
// warp finishes rows. Products are tensor-core products of eight rows of weights and the terms of
// x: one load of 16 bytes and one instruction for eight weights a lane, which takes 20 W less than
// converting and multiplying them one by one (docs/lab.md). Weights start to flow before the
// previous kernel has ended (launch.cuh).
#pragma once

#include "kvtoll/backends/cuda/copy_ring.cuh"
#include "kvtoll/backends/cuda/gemv_epilogue.cuh"
#include "kvtoll/backends/cuda/gemv_input.cuh"
#include "kvtoll/backends/cuda/tuning/gemv_shape.h"

namespace kvtoll::cuda {

inline constexpr int kGemvBatch = 32;   // rows that are finished together: one per lane
inline constexpr int kGemvBatches = 4;  // whose partial sums may wait to be finished

template <class S>
using WeightRing = CopyRing<S::kDepth, S::kStageBytes>;

// Dynamic shared memory: rings | x in one or two terms | partial sums [2][warps][batch] | barriers
// | sums of squares [warps].
template <class S, bool kNormed>
struct GemvShared {
  int x, partial, barriers, squares, finished, total;
  __host__ __device__ explicit GemvShared(int k) {
    x = S::kWarps * WeightRing<S>::kBytes;
    partial = x + (k / 8 + (kNormed ? term_stride(k) : 0)) * 16;
    barriers = partial + kGemvBatches * S::kWarps * kGemvBatch * 4;
    squares = barriers + S::kWarps * S::kDepth * 8;
    finished = squares + S::kWarps * 4;
    total = finished + 4;
  }
};

// Brings bytes (a multiple of 16) into the L2; one lane's instruction.
__device__ __forceinline__ void prefetch_l2(const unsigned char* from, int bytes) {
#if KVTOLL_BULK_COPY
  if (threadIdx.x % 32 == 0)
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
#endif
}

// Where the rows of block b of a kernel of `blocks` blocks start.
__device__ __forceinline__ int first_row(int rows, int unit, int b, int blocks) {
  return static_cast<int>(static_cast<int64_t>(rows / unit) * b / blocks) * unit;
}

// This warp's share of what the block's successor reads first.
template <class S>
__device__ __forceinline__ void prefetch_successor(const NextWeights& next, int warp) {
  if (!next.weights) return;
  constexpr int kShare = kAheadBytes / S::kWarps;
  const int64_t row = first_row(next.rows, next.unit, blockIdx.x, gridDim.x);
  const int64_t at = row * next.row_bytes + warp * kShare;
  if (at + kShare <= next.rows * next.row_bytes)
    prefetch_l2(static_cast<const unsigned char*>(next.weights) + at, kShare);
}

// The walk of one warp over its tiles: eight rows at a time, each in pieces of at most kChunks
// chunks along k. It asks for them in the order in which they will be multiplied, far ahead.
template <class S>
struct GemvWalk {
  const unsigned char* group;  // first row of the group to ask for next, first chunk of the warp
  int64_t row_bytes;
  int left;    // rows from that group on
  int chunks;  // of the warp in every row
  int part = 0;

  __device__ __forceinline__ void request_next(WeightRing<S>& ring) {
    if (left <= 0) return ring.skip();
    ring.request(min(kGemvRows, left), S::kRowBytes, group + part * 16, row_bytes,
                 min(S::kChunks, chunks - part) * 16);
    part += S::kChunks;
    if (part < chunks) return;
    part = 0;
    left -= kGemvRows;
    group += kGemvRows * row_bytes;
  }
};

// x for one piece of a row as the right operand of the tensor-core products, one a step of four
// chunks. Eight rows of weights fill the left operand of sixteen: its lower half has the first four
// values of each chunk, its upper half the last four. So a column holds one half of the chunks of
// one term, the others and what is beyond the piece are zeros; lane 4 column + c has chunk c.
template <class S, int kTerms>
struct Fragments {
  uint2 step[S::kSteps];

  __device__ __forceinline__ void load(const uint4* x, int stride, int count, int lane) {
    const int term = lane / 4 % kTerms, half = lane / 4 / kTerms, c = lane % 4;
    const uint2* from = reinterpret_cast<const uint2*>(x + term * stride + c) + half;
#pragma unroll
    for (int j = 0; j < S::kSteps; ++j)
      step[j] = half < 2 && 4 * j + c < count ? from[8 * j] : uint2{};
  }
};

// What a stage holds behind a piece is multiplied by zeros, so it must be numbers: zeros behind the
// first pieces, older weights later.
template <class S>
__device__ __forceinline__ void clear_padding(WeightRing<S>& ring, unsigned char* stages,
                                              int chunks, int lane) {
  unsigned char* row = stages + lane / 4 * S::kRowBytes;
  for (int stage = 0, start = 0; stage < S::kDepth; ++stage) {
    for (int i = chunks - start + lane % 4; i < S::kChunks; i += 4)
      reinterpret_cast<uint4*>(row + stage * S::kStageBytes)[i] = uint4{};
    start = start + S::kChunks < chunks ? start + S::kChunks : 0;
  }
  if (chunks > S::kChunks && chunks < S::kDepth * S::kChunks) ring.order_stores();
}

// Eight rows: waits for their pieces, multiplies, asks for later ones. Lane 4 g returns row g.
template <class S, class T, int kTerms>
__device__ __forceinline__ float multiply_rows(WeightRing<S>& ring, GemvWalk<S>& walk,
                                               Fragments<S, kTerms>& x, const uint4* x_shared,
                                               int stride, int lane) {
  float even[4] = {}, odd[4] = {};
  for (int start = 0; start < walk.chunks; start += S::kChunks) {
    if (walk.chunks > S::kChunks)  // otherwise x has stayed in registers
      x.load(x_shared + start, stride, walk.chunks - start, lane);
    const unsigned char* stage = ring.wait();
    const uint4* row = reinterpret_cast<const uint4*>(stage + lane / 4 * S::kRowBytes) + lane % 4;
#pragma unroll
    for (int j = 0; j < S::kSteps; ++j) {
      const uint4 w = row[4 * j];
      mma16816<T>(j % 2 ? odd : even, w.x, w.z, w.y, w.w, x.step[j].x, x.step[j].y);
    }
    ring.release();
    walk.request_next(ring);
  }
  // Lane 4 g + c has columns 2 c and 2 c + 1: [0, 1] of the lower half, [2, 3] of the upper.
  if constexpr (kTerms == 1) return even[0] + odd[0] + even[3] + odd[3];
  const float low = even[0] + odd[0] + even[1] + odd[1];
  const float high = even[2] + odd[2] + even[3] + odd[3];
  return low + __shfl_down_sync(0xffffffffu, high, 1);
}

// Partial sums on their way from the multiplying warps to the finishing one, which never wait for
// each other unless kGemvBatches batches lie between them.
template <class S>
struct SumExchange {
  float* sums;             // [batches][warps][batch]
  volatile int* finished;  // batches

  __device__ __forceinline__ float* of(int batch) const {
    return sums + batch % kGemvBatches * S::kWarps * kGemvBatch;
  }
  __device__ __forceinline__ void wait_for_room(int batch) const {
    while (batch - *finished >= kGemvBatches) __nanosleep(32);
  }
  __device__ __forceinline__ void hand_over(int batch) const {
    asm volatile("bar.arrive %0, %1;" ::"r"(1 + batch % kGemvBatches), "n"(S::kThreads) : "memory");
  }
  __device__ __forceinline__ void wait_for(int batch) const {
    asm volatile("bar.sync %0, %1;" ::"r"(1 + batch % kGemvBatches), "n"(S::kThreads) : "memory");
  }
};

// The finishing warp: sums of the rows [first, end) over the slices.
template <class S, class T, bool kNormed, class Epilogue, class Params>
__device__ __forceinline__ void finish_rows(const Params& p, const SumExchange<S>& exchange,
                                            const float* squares, int first, int end, int lane) {
  pdl_wait();
  for (int batch = 0, row0 = first; row0 < end; ++batch, row0 += kGemvBatch) {
    const int row = row0 + lane;
    const typename Epilogue::Early early = Epilogue::early(p, row, row < end);
    exchange.wait_for(batch);
    const float* sums = exchange.of(batch) + lane;
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < S::kWarps; ++i) sum += sums[i * kGemvBatch];
    if constexpr (kNormed) {
      float all = 0.0f;
#pragma unroll
      for (int i = 0; i < S::kWarps; ++i) all += squares[i];
      sum *= rsqrtf(all / static_cast<float>(p.k) + p.eps);
    }
    __syncwarp();
    if (lane == 0) *exchange.finished = batch + 1;
    Epilogue::template apply<T>(p, early, sum, row, row < end);
  }
}

template <class S, class T, bool kNormed, class Epilogue, class Params>
__device__ __forceinline__ void gemv_body(const Params& p, int unit) {
  extern __shared__ __align__(128) unsigned char shared[];
  pdl_trigger();
  const GemvShared<S, kNormed> at(p.k);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  uint4* x = reinterpret_cast<uint4*>(shared + at.x);
  float* squares = reinterpret_cast<float*>(shared + at.squares);
  const SumExchange<S> exchange{reinterpret_cast<float*>(shared + at.partial),
                                reinterpret_cast<int*>(shared + at.finished)};
  const int first = first_row(p.rows, unit, blockIdx.x, gridDim.x);
  const int end = first_row(p.rows, unit, blockIdx.x + 1, gridDim.x);
  if (warp == S::kWarps) {
    if (lane == 0) *exchange.finished = 0;
    __syncthreads();
    return finish_rows<S, T, kNormed, Epilogue>(p, exchange, squares, first, end, lane);
  }
  // Slices in units of 64 bytes, so that no memory access is shared by two warps.
  const int all = p.k / 8, units = (all + 3) / 4;
  ChunkRange own{units * warp / S::kWarps * 4, 0};
  own.count = min(all, units * (warp + 1) / S::kWarps * 4) - own.first;
  GemvWalk<S> walk{};
  walk.row_bytes = int64_t(p.k) * 2;
  walk.chunks = own.count;
  walk.group =
      static_cast<const unsigned char*>(p.weights) + first * walk.row_bytes + own.first * 16;
  walk.left = own.count > 0 ? end - first : 0;  // a warp without chunks adds zeros
  unsigned char* stages = shared + warp * WeightRing<S>::kBytes;
  WeightRing<S> ring(stages, reinterpret_cast<uint64_t*>(shared + at.barriers) + warp * S::kDepth,
                     lane);
  for (int i = 0; i < S::kDepth; ++i) walk.request_next(ring);
  clear_padding<S>(ring, stages, own.count, lane);
  __syncthreads();  // `finished` is set

  // --- the input, once everything before this kernel is complete
  constexpr int kTerms = kNormed ? 2 : 1;
  const int stride = term_stride(p.k);
  float unscale = 1.0f;
  if constexpr (kNormed)
    unscale = load_normed<T>(p, x, own, squares + warp, lane);
  else
    load_plain(p, x, own, lane);
  __syncwarp();
  x += own.first;
  Fragments<S, kTerms> fragments;
  fragments.load(x, stride, own.count, lane);

  // --- the rows, eight at a time
  for (int batch = 0, row0 = first; row0 < end; ++batch, row0 += kGemvBatch) {
    float* sums = exchange.of(batch) + warp * kGemvBatch;
    exchange.wait_for_room(batch);
    for (int r = 0; r < min(kGemvBatch, end - row0); r += kGemvRows) {
      const float sum = multiply_rows<S, T, kTerms>(ring, walk, fragments, x, stride, lane);
      if (lane % 4 == 0) sums[r + lane / 4] = sum * unscale;
    }
    exchange.hand_over(batch);
  }
  prefetch_successor<S>(p.next, warp);  // all of ours is here
}

}  // namespace kvtoll::cuda
