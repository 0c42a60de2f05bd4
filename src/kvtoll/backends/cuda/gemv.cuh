// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The body of the matrix-vector kernels. A block owns a contiguous range of rows. One warp fills
// the block's ring with weights, eight rows a stage; the multiplying warps take a slice along k
// each, so all are equally busy whatever the number of rows; one more warp finishes rows. Products
// are tensor-core products of eight rows of weights and the terms of x: one load of 16 bytes and
// one instruction for eight weights a lane, which takes 20 W less than converting and multiplying
// them one by one (docs/lab.md). Weights start to flow before the previous kernel has ended
// (launch.cuh).
#pragma once

#include "kvtoll/backends/cuda/gemv_epilogue.cuh"
#include "kvtoll/backends/cuda/gemv_input.cuh"
#include "kvtoll/backends/cuda/next_weights.cuh"
#include "kvtoll/backends/cuda/stage_ring.cuh"
#include "kvtoll/backends/cuda/sum_exchange.cuh"
#include "kvtoll/backends/cuda/tuning/gemv_shape.h"

namespace kvtoll::cuda {

template <class S>
using WeightRing = StageRing<S::kDepth, S::kStageBytes>;

// Dynamic shared memory: ring | x of each warp in one or two terms | partial sums [batches][warps]
// [batch] | barriers of the ring | barriers of the sums | sums of squares [warps].
template <class S, bool kNormed>
struct GemvShared {
  int x, x_chunks, partial, ring_barriers, sum_barriers, squares, total;
  __host__ __device__ explicit GemvShared(int k) {
    x = WeightRing<S>::kBytes;
    x_chunks = kNormed ? 2 * term_stride<S>(k) : piece_count<S>(k) * S::kChunks;  // of a warp
    partial = x + S::kWarps * x_chunks * 16;
    ring_barriers = partial + kGemvBatches * S::kWarps * kGemvBatch * 4;
    sum_barriers = ring_barriers + WeightRing<S>::kBarrierBytes;
    squares = sum_barriers + SumExchange<S::kWarps>::kBarrierBytes;
    total = squares + S::kWarps * 4;
  }
};

// What the filling warp asks for: rows [row, end), eight at a time, each in pieces along k.
template <class S>
struct WeightWalk {
  const unsigned char* weights;
  int row, end, chunks;  // chunks of a row
  int chunk = 0;         // of the next piece

  __device__ __forceinline__ WeightWalk(const GemvParams& p, int first, int end)
      : weights(static_cast<const unsigned char*>(p.weights)),
        row(first),
        end(end),
        chunks(p.k / 8) {}

  // The next stage as soon as there is room; false: there is no more.
  __device__ __forceinline__ bool fill_next(WeightRing<S>& ring, int lane) {
    if (row >= end) return false;
    const int64_t row_bytes = int64_t(chunks) * 16;
    ring.fill(min(kGemvRows, end - row), S::kRowBytes, weights + row * row_bytes + chunk * 16,
              row_bytes, min(S::kPiece, chunks - chunk) * 16, lane);
    chunk += S::kPiece;
    if (chunk >= chunks) chunk = 0, row += kGemvRows;
    return true;
  }
};

// The slices of x of one piece as the right operand of the tensor-core products, one a step of four
// chunks. Eight rows of weights fill the left operand of sixteen: its lower half has the first four
// values of each chunk, its upper half the last four. So a column holds one half of the chunks of
// one term, the others are zeros; lane 4 column + c has chunk c.
template <class S, int kTerms>
struct Fragments {
  uint2 step[S::kSteps];

  __device__ __forceinline__ void load(const uint4* x, int stride, int lane) {
    const int term = lane / 4 % kTerms, half = lane / 4 / kTerms, c = lane % 4;
    const uint2* from = reinterpret_cast<const uint2*>(x + term * stride + c) + half;
#pragma unroll
    for (int j = 0; j < S::kSteps; ++j) step[j] = half < 2 ? from[8 * j] : uint2{};
  }
};

// What a stage holds behind a piece is multiplied by zeros, so it must be numbers: zeros behind the
// first pieces, older weights later.
template <class S>
__device__ __forceinline__ void clear_padding(unsigned char* stages, int chunks, int warp,
                                              int lane) {
  for (int stage = 0, start = 0; stage < S::kDepth; ++stage) {
    const int n = chunks - start;
    for (int row = warp; row < kGemvRows; row += S::kWarps) {
      auto* to = reinterpret_cast<uint4*>(stages + stage * S::kStageBytes + row * S::kRowBytes);
      for (int i = n + lane; i < min(n + S::kChunks, S::kPiece); i += 32) to[i] = uint4{};
    }
    start = n > S::kPiece ? start + S::kPiece : 0;
  }
  if (chunks > S::kPiece) order_stores_before_copies();
}

// A multiplying warp.
template <class S, class T, int kTerms>
struct Multiplier {
  WeightRing<S>& ring;
  const uint4* x;  // the warp's
  int k, warp, lane;
  Fragments<S, kTerms> fragments;

  // After x has been stored.
  __device__ __forceinline__ void begin() { fragments.load(x, term_stride<S>(k), lane); }

  // Products of eight rows; lane 4 g returns row g.
  __device__ __forceinline__ float rows() {
    float even[4] = {}, odd[4] = {};
    const int pieces = piece_count<S>(k);
    for (int piece = 0; piece < pieces; ++piece) {
      if (pieces > 1)  // otherwise x has stayed in registers
        fragments.load(x + piece * S::kChunks, term_stride<S>(k), lane);
      const int first = slice_of<S>(k, piece, warp).first;
      const auto* row =
          reinterpret_cast<const uint4*>(ring.wait() + lane / 4 * S::kRowBytes) + first + lane % 4;
#pragma unroll
      for (int j = 0; j < S::kSteps; ++j) {
        const uint4 w = row[4 * j];
        const uint2 v = fragments.step[j];
        mma16816<T>(j % 2 ? odd : even, w.x, w.z, w.y, w.w, v.x, v.y);
      }
      ring.release();
    }
    // Lane 4 g + c has columns 2 c and 2 c + 1: [0, 1] of the lower half, [2, 3] of the upper.
    if constexpr (kTerms == 1) return even[0] + odd[0] + even[3] + odd[3];
    const float low = even[0] + odd[0] + even[1] + odd[1];
    const float high = even[2] + odd[2] + even[3] + odd[3];
    return low + __shfl_down_sync(0xffffffffu, high, 1);
  }
};

// The finishing warp: sums of the rows [first, end) over the slices.
template <class S, class T, bool kNormed, class Epilogue, class Params>
__device__ __forceinline__ void finish_rows(const Params& p, const SumExchange<S::kWarps>& exchange,
                                            const float* squares, int first, int end, int lane) {
  pdl_wait();
  for (int batch = 0, row0 = first; row0 < end; ++batch, row0 += kGemvBatch) {
    const int row = row0 + lane;
    const typename Epilogue::Early early = Epilogue::early(p, row, row < end);
    const float* sums = exchange.wait(batch) + lane;
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < S::kWarps; ++i) sum += sums[i * kGemvBatch];
    if constexpr (kNormed) {
      float all = 0.0f;
#pragma unroll
      for (int i = 0; i < S::kWarps; ++i) all += squares[i];
      sum *= rsqrtf(all / static_cast<float>(p.k) + p.eps);
    }
    exchange.release(batch);
    Epilogue::template apply<T>(p, early, sum, row, row < end);
  }
}

// unit: rows that stay together.
template <class S, class T, bool kNormed, class Epilogue, class Params>
__device__ __forceinline__ void gemv_body(const Params& p, int unit) {
  extern __shared__ __align__(128) unsigned char shared[];
  pdl_trigger();
  const GemvShared<S, kNormed> at(p.k);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int first = first_row(p.rows, unit, blockIdx.x, gridDim.x);
  const int end = first_row(p.rows, unit, blockIdx.x + 1, gridDim.x);
  float* squares = reinterpret_cast<float*>(shared + at.squares);
  const SumExchange<S::kWarps> exchange(shared + at.partial, shared + at.sum_barriers);
  WeightRing<S> ring(shared, shared + at.ring_barriers);

  if (warp == S::kWarps) {  // fills the ring
    if (lane == 0) ring.init(S::kWarps);
    __syncwarp();
    WeightWalk<S> walk(p, first, end);
    for (int i = p.late_x ? 1 : 0; i < S::kDepth; ++i) walk.fill_next(ring, lane);
    StartBarrier<S::kThreads>::arrive();
    if (p.late_x) pdl_wait();
    while (walk.fill_next(ring, lane)) {
    }
    return;
  }
  if (warp > S::kWarps) {  // finishes rows
    if (lane == 0) exchange.init();
    __syncwarp();
    StartBarrier<S::kThreads>::arrive();
    return finish_rows<S, T, kNormed, Epilogue>(p, exchange, squares, first, end, lane);
  }

  clear_padding<S>(shared, p.k / 8, warp, lane);
  StartBarrier<S::kThreads>::wait();
  uint4* x = reinterpret_cast<uint4*>(shared + at.x) + warp * at.x_chunks;
  float unscale = 1.0f;
  if constexpr (kNormed)
    unscale = load_normed<S, T>(p, x, squares + warp, warp, lane);
  else
    load_plain<S>(p, x, warp, lane);
  __syncwarp();
  Multiplier<S, T, kNormed ? 2 : 1> multiply{ring, x, p.k, warp, lane};
  multiply.begin();
  for (int batch = 0, row0 = first; row0 < end; ++batch, row0 += kGemvBatch) {
    float* sums = exchange.place(batch, warp);
    for (int r = 0; r < min(kGemvBatch, end - row0); r += kGemvRows) {
      const float sum = multiply.rows() * unscale;
      if (lane % 4 == 0) sums[r + lane / 4] = sum;
    }
    exchange.hand_over(batch);
  }
  prefetch_next<S::kWarps>(p.next, blockIdx.x, gridDim.x, warp);  // all of ours is here
}

}  // namespace kvtoll::cuda
