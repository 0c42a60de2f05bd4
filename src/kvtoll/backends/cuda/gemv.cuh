// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The body of the matrix-vector kernels. A block owns a contiguous range of rows; its warps split
// every row between them along k (and the rows in groups), so all are equally busy whatever the
// number of rows. Weights start to flow before the previous kernel has ended (launch.cuh).
#pragma once

#include <type_traits>

#include "kvtoll/backends/cuda/copy_ring.cuh"
#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/backends/cuda/tuning/gemv_shape.h"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {

inline constexpr int kGemvBatch = 32;  // rows between two block barriers: one per lane

template <class S>
concept FillsBatches = kGemvBatch % (S::kRows * S::kGroups) == 0;

template <FillsBatches S>
using WeightRing = CopyRing<S::kDepth, S::kStageBytes>;

// Dynamic shared memory: rings | x [k] | partial sums [2][slices][batch] | barriers | norm scratch.
template <class S, class X>
struct GemvShared {
  int x, partial, barriers, scratch, total;
  __host__ __device__ explicit GemvShared(int k) {
    x = S::kWarps * WeightRing<S>::kBytes;
    partial = x + (k * static_cast<int>(sizeof(X)) + 15) / 16 * 16;
    barriers = partial + 2 * S::kSlices * kGemvBatch * 4;
    scratch = barriers + S::kWarps * S::kDepth * 8;
    total = scratch + S::kWarps * 4;
  }
};

// The input in shared memory, in chunks of eight values. Plain: T as it comes. Normed: fp32 in two
// planes, the first and the last four values of each chunk, so that lanes read side by side.
template <class T>
__device__ __forceinline__ void read_chunk(const T* x, int, int i, float2 (&out)[4]) {
  const uint4 v = reinterpret_cast<const uint4*>(x)[i];
  out[0] = unpack2<T>(v.x), out[1] = unpack2<T>(v.y);
  out[2] = unpack2<T>(v.z), out[3] = unpack2<T>(v.w);
}
template <class T>
__device__ __forceinline__ void read_chunk(const float* x, int chunks, int i, float2 (&out)[4]) {
  const float4 a = reinterpret_cast<const float4*>(x)[i];
  const float4 b = reinterpret_cast<const float4*>(x)[chunks + i];
  out[0] = {a.x, a.y}, out[1] = {a.z, a.w}, out[2] = {b.x, b.y}, out[3] = {b.z, b.w};
}

// x [k] from global memory into shared memory.
template <class S, class T>
__device__ __forceinline__ void load_plain(const GemvParams& p, T* x) {
  constexpr int kHeld = 5;  // 16-byte chunks a thread asks for at once
  const uint4* from = static_cast<const uint4*>(p.x);
  const int n = p.k / 8;
  for (int first = threadIdx.x; first < n; first += kHeld * S::kThreads) {
    uint4 v[kHeld];
#pragma unroll
    for (int j = 0; j < kHeld; ++j)
      if (const int i = first + j * S::kThreads; i < n) v[j] = __ldcg(from + i);
#pragma unroll
    for (int j = 0; j < kHeld; ++j)
      if (const int i = first + j * S::kThreads; i < n) reinterpret_cast<uint4*>(x)[i] = v[j];
  }
}

// x = residual * weight; the factor 1 / rms is common to all of x, so it is applied to the sums and
// nobody waits for it here: warps leave their sums of squares in scratch.
template <class S>
__device__ __forceinline__ void load_normed(const GemvParams& p, float* x, float* scratch) {
  constexpr int kHeld = 1024 / S::kThreads;  // float4 a thread asks for at once
  const float4* from = static_cast<const float4*>(p.x);
  const float4* weight = reinterpret_cast<const float4*>(p.norm);
  const int n = p.k / 4, tid = threadIdx.x;
  float4 w[kHeld];
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = tid + j * S::kThreads; i < n) w[j] = __ldg(weight + i);
  pdl_wait();
  float4 v[kHeld];
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = tid + j * S::kThreads; i < n) v[j] = __ldcg(from + i);
  float sum = 0.0f;
  const auto keep = [&](int i, float4 a, float4 b) {
    sum += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w;
    reinterpret_cast<float4*>(x)[(i & 1) * (n / 2) + i / 2] =
        make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w);
  };
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = tid + j * S::kThreads; i < n) keep(i, v[j], w[j]);
  for (int i = tid + kHeld * S::kThreads; i < n; i += S::kThreads)
    keep(i, __ldcg(from + i), __ldg(weight + i));
  sum = warp_sum(sum);
  if (tid % 32 == 0) scratch[tid / 32] = sum;
}

template <class S>
__device__ __forceinline__ float inverse_rms(const GemvParams& p, const float* scratch) {
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < S::kWarps; ++i) sum += scratch[i];
  return rsqrtf(sum / static_cast<float>(p.k) + p.eps);
}

// What becomes of the sum of one row; all lanes of a warp call, lane l with row first + l of a
// batch. early() fetches what apply() needs while the products are still going on.
struct StoreRow {
  using Early = float;
  static __device__ __forceinline__ Early early(const GemvParams& p, int row, bool valid) {
    return valid && p.bias ? __ldg(p.bias + row) : 0.0f;
  }
  template <class T>
  static __device__ __forceinline__ void apply(const GemvParams& p, float bias, float sum, int row,
                                               bool valid) {
    if (valid) static_cast<float*>(p.out)[row] = sum + bias;
  }
};
struct AddRow {
  using Early = float;
  static __device__ __forceinline__ Early early(const GemvParams& p, int row, bool valid) {
    const float old = valid ? __ldcg(static_cast<const float*>(p.out) + row) : 0.0f;
    return valid && p.bias ? old + __ldg(p.bias + row) : old;
  }
  template <class T>
  static __device__ __forceinline__ void apply(const GemvParams& p, float old, float sum, int row,
                                               bool valid) {
    if (valid) __stcg(static_cast<float*>(p.out) + row, old + sum);
  }
};
struct GateRow {  // even rows are gates, the next one's lane has the up
  using Early = float;
  static __device__ __forceinline__ Early early(const GemvParams& p, int row, bool valid) {
    return valid && p.bias ? __ldg(p.bias + row) : 0.0f;
  }
  template <class T>
  static __device__ __forceinline__ void apply(const GemvParams& p, float bias, float sum, int row,
                                               bool valid) {
    sum += bias;
    const float up = __shfl_down_sync(0xffffffffu, sum, 1);
    if (valid && row % 2 == 0) static_cast<T*>(p.out)[row / 2] = from_float<T>(silu(sum) * up);
  }
};
struct RopeRow {  // q and k rows come in pairs (i, i + half) next to each other; see weights.h
  struct Early {
    float bias = 0.0f;
    float2 turn{1.0f, 0.0f};  // cos, sin; of an odd row: the sine's sign turned
    void* to = nullptr;
  };
  static __device__ __forceinline__ Early early(const QkvRopeParams& p, int row, bool valid) {
    Early e;
    if (!valid) return e;
    if (p.bias) e.bias = __ldg(p.bias + row);
    const int dim = p.cache.dim, head = row / dim, r = row % dim, kv = head - p.heads;
    const bool rotated = kv < p.cache.kv_heads;
    int d = r;
    if (rotated) {
      e.turn = __ldcg(p.turns + r / 2);
      if (r % 2) e.turn.y = -e.turn.y;
      d = r / 2 + r % 2 * (dim / 2);
    }
    if (kv < 0) {
      e.to = static_cast<uint16_t*>(p.q) + head * dim + d;
      return e;
    }
    const int slot = row_slot(p.map, 0), position = row_position(p.map, 0);
    const int64_t kv_head = rotated ? kv : kv - p.cache.kv_heads;
    e.to = static_cast<uint16_t*>(rotated ? p.cache.k : p.cache.v) +
           ((slot * int64_t(p.cache.kv_heads) + kv_head) * p.cache.capacity + position) * dim + d;
    return e;
  }
  template <class T>
  static __device__ __forceinline__ void apply(const QkvRopeParams& p, const Early& e, float sum,
                                               int, bool valid) {
    sum += e.bias;
    const float other = __shfl_xor_sync(0xffffffffu, sum, 1);
    sum = sum * e.turn.x - other * e.turn.y;
    if (!valid) return;
    if (p.half)
      *static_cast<__half*>(e.to) = __float2half_rn(sum);
    else
      *static_cast<__nv_bfloat16*>(e.to) = __float2bfloat16_rn(sum);
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

// The walk of one warp over its tiles: groups of kRows rows, each in `parts` pieces along k.
template <class S>
struct GemvWalk {
  const unsigned char* group;  // first row of the group to ask for next, first chunk of the warp
  int64_t row_bytes;
  int left;  // rows from that group on, other groups' included
  int chunks, parts, part_chunks;
  int part = 0;

  __device__ __forceinline__ void request_next(WeightRing<S>& ring) {
    if (left <= 0) return ring.skip();
    const int start = part * part_chunks, bytes = min(part_chunks, chunks - start) * 16;
    const int rows = min(S::kRows, left);
    ring.expect(rows * bytes);
#pragma unroll
    for (int r = 0; r < S::kRows; ++r)
      if (r < rows) ring.copy(r * S::kChunks * 16, group + r * row_bytes + start * 16, bytes);
    ring.submit();
    if (++part < parts) return;
    part = 0;
    left -= S::kRows * S::kGroups;
    group += S::kRows * S::kGroups * row_bytes;
  }
};

// One group of rows: waits for its pieces, multiplies, asks for later ones. Sums of this lane.
template <class S, class T, class X>
__device__ __forceinline__ void multiply_group(WeightRing<S>& ring, GemvWalk<S>& walk, const X* x,
                                               int all, int chunk0, int lane,
                                               float (&acc)[S::kRows]) {
  for (int part = 0; part < walk.parts; ++part) {
    const int start = part * walk.part_chunks;
    const int n = min(walk.part_chunks, walk.chunks - start);
    const uint4* tile = reinterpret_cast<const uint4*>(ring.wait());
#pragma unroll 2
    for (int i = lane; i < n; i += 32) {
      float2 xf[4];
      read_chunk<T>(x, all, chunk0 + start + i, xf);
#pragma unroll
      for (int r = 0; r < S::kRows; ++r) acc[r] = dot8<T>(tile[r * S::kChunks + i], xf, acc[r]);
    }
    ring.release();
    walk.request_next(ring);
  }
}

// Sums over the warp; lane l gets that of row l % kRows (1, 2 or 4 rows).
template <int kRows>
__device__ __forceinline__ float warp_sum_rows(float (&acc)[kRows], int lane) {
  static_assert(kRows == 1 || kRows == 2 || kRows == 4);
  float sum = acc[0];
  if constexpr (kRows == 2) {
    const bool odd = lane & 1;
    sum = (odd ? acc[1] : acc[0]) + __shfl_xor_sync(0xffffffffu, odd ? acc[0] : acc[1], 1);
  }
  if constexpr (kRows == 4) {
    const bool odd = lane & 1, high = lane & 2;
    const float a =
        (odd ? acc[1] : acc[0]) + __shfl_xor_sync(0xffffffffu, odd ? acc[0] : acc[1], 1);
    const float b =
        (odd ? acc[3] : acc[2]) + __shfl_xor_sync(0xffffffffu, odd ? acc[2] : acc[3], 1);
    sum = (high ? b : a) + __shfl_xor_sync(0xffffffffu, high ? a : b, 2);
  }
#pragma unroll
  for (int offset = kRows; offset < 32; offset <<= 1)
    sum += __shfl_xor_sync(0xffffffffu, sum, offset);
  return sum;
}

template <FillsBatches S, class T, bool kNormed, class Epilogue, class Params>
__device__ __forceinline__ void gemv_body(const Params& p, int unit) {
  using X = std::conditional_t<kNormed, float, T>;
  extern __shared__ __align__(128) unsigned char shared[];
  pdl_trigger();
  const GemvShared<S, X> at(p.k);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int slice = warp % S::kSlices, rank = warp / S::kSlices;
  X* x = reinterpret_cast<X*>(shared + at.x);
  float* partial = reinterpret_cast<float*>(shared + at.partial);
  float* scratch = reinterpret_cast<float*>(shared + at.scratch);
  const int first = first_row(p.rows, unit, blockIdx.x, gridDim.x);
  const int end = first_row(p.rows, unit, blockIdx.x + 1, gridDim.x);
  const int all = p.k / 8, chunk0 = all * slice / S::kSlices;
  GemvWalk<S> walk{};
  walk.row_bytes = int64_t(p.k) * 2;
  walk.chunks = all * (slice + 1) / S::kSlices - chunk0;
  walk.group = static_cast<const unsigned char*>(p.weights) +
               (first + rank * S::kRows) * walk.row_bytes + chunk0 * 16;
  walk.parts = (walk.chunks + S::kChunks - 1) / S::kChunks;
  walk.part_chunks = walk.parts ? (walk.chunks + walk.parts - 1) / walk.parts : 0;
  // With fewer chunks than slices a warp may have none: it adds zeros.
  walk.left = walk.parts ? end - first - rank * S::kRows : 0;
  WeightRing<S> ring(shared + warp * WeightRing<S>::kBytes,
                     reinterpret_cast<uint64_t*>(shared + at.barriers) + warp * S::kDepth, lane);
  for (int i = 0; i < S::kDepth; ++i) walk.request_next(ring);

  // --- the input, once everything before this kernel is complete
  if constexpr (kNormed) {
    load_normed<S>(p, x, scratch);
  } else {
    pdl_wait();
    load_plain<S, T>(p, x);
  }
  __syncthreads();

  // --- batches of 32 rows; the sums of one are finished by one warp while the others go on
  for (int batch = 0, row0 = first; row0 < end; ++batch, row0 += kGemvBatch) {
    float* sums = partial + (batch & 1) * S::kSlices * kGemvBatch;
    const int rows = min(kGemvBatch, end - row0);
    const bool finishes = warp == batch % S::kWarps;
    typename Epilogue::Early early{};
    if (finishes) early = Epilogue::early(p, row0 + lane, lane < rows);
    for (int r = rank * S::kRows; r < rows; r += S::kRows * S::kGroups) {
      float acc[S::kRows] = {};
      multiply_group<S, T>(ring, walk, x, all, chunk0, lane, acc);
      const float sum = warp_sum_rows<S::kRows>(acc, lane);
      if (lane < S::kRows) sums[slice * kGemvBatch + r + lane] = sum;
    }
    if (row0 + kGemvBatch >= end) prefetch_successor<S>(p.next, warp);  // all of ours is here
    __syncthreads();
    if (finishes) {
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < S::kSlices; ++i) sum += sums[i * kGemvBatch + lane];
      if constexpr (kNormed) sum *= inverse_rms<S>(p, scratch);
      Epilogue::template apply<T>(p, early, sum, row0 + lane, lane < rows);
    }
  }
}

}  // namespace kvtoll::cuda
