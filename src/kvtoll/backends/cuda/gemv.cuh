// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The body of the matrix-vector kernels. A block owns a contiguous range of rows; its warps split
// every row between them along k (and the rows in groups), so all are equally busy whatever the
// number of rows. Weights start to flow before the previous kernel has ended (launch.cuh).
#pragma once

#include "kvtoll/backends/cuda/copy_ring.cuh"
#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/backends/cuda/tuning/gemv_shape.h"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {

inline constexpr int kGemvBatch = 32;  // rows between two block barriers: one per lane

template <class S>
using WeightRing = CopyRing<S::kDepth, S::kStageBytes>;

// Dynamic shared memory: rings | x [k] | partial sums [2][slices][batch] | barriers | norm scratch.
template <class S>
struct GemvShared {
  int x, partial, barriers, scratch, total;
  __host__ __device__ explicit GemvShared(int k) {
    x = S::kWarps * WeightRing<S>::kBytes;
    partial = x + (k * 2 + 15) / 16 * 16;
    barriers = partial + 2 * S::kSlices * kGemvBatch * 4;
    scratch = barriers + S::kWarps * S::kDepth * 8;
    total = scratch + S::kWarps * 4;
  }
};

// x [k] from global memory into shared memory, as T.
template <class S, class T>
__device__ __forceinline__ void load_plain(const GemvParams& p, T* x) {
  const uint4* from = static_cast<const uint4*>(p.x);
  for (int i = threadIdx.x; i < p.k / 8; i += S::kThreads)
    reinterpret_cast<uint4*>(x)[i] = __ldcg(from + i);
}

template <class T>
__device__ __forceinline__ void store_normed(T* x, int i, float4 v, float rms, float4 w) {
  uint2 packed;
  packed.x = pack2<T>(v.x * rms * w.x, v.y * rms * w.y);
  packed.y = pack2<T>(v.z * rms * w.z, v.w * rms * w.w);
  reinterpret_cast<uint2*>(x)[i] = packed;
}

__device__ __forceinline__ float sum_of_squares(float4 v) {
  return v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
}

// x = rmsnorm(residual) * weight, rounded to T once. residual [k] fp32.
template <class S, class T>
__device__ __forceinline__ void load_normed(const GemvParams& p, T* x, float* scratch) {
  constexpr int kHeld = 1024 / S::kThreads;  // float4 a thread keeps; wider rows are read twice
  const float4* from = static_cast<const float4*>(p.x);
  const float4* weight = reinterpret_cast<const float4*>(p.norm);
  const int n = p.k / 4, tid = threadIdx.x;
  for (int i = tid * 8; i < n; i += S::kThreads * 8)  // one line of 128 bytes each
    asm volatile("prefetch.global.L2 [%0];" ::"l"(weight + i));
  pdl_wait();
  float4 held[kHeld];
  float sum = 0.0f;
#pragma unroll
  for (int j = 0; j < kHeld; ++j) {
    const int i = tid + j * S::kThreads;
    held[j] = i < n ? __ldcg(from + i) : float4{};
  }
#pragma unroll
  for (int j = 0; j < kHeld; ++j) sum += sum_of_squares(held[j]);
  for (int i = tid + kHeld * S::kThreads; i < n; i += S::kThreads)
    sum += sum_of_squares(__ldcg(from + i));
  sum = warp_sum(sum);
  if (tid % 32 == 0) scratch[tid / 32] = sum;
  __syncthreads();
  sum = 0.0f;
#pragma unroll
  for (int i = 0; i < S::kWarps; ++i) sum += scratch[i];
  const float rms = rsqrtf(sum / static_cast<float>(p.k) + p.eps);
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = tid + j * S::kThreads; i < n)
      store_normed<T>(x, i, held[j], rms, __ldg(weight + i));
  for (int i = tid + kHeld * S::kThreads; i < n; i += S::kThreads)
    store_normed<T>(x, i, __ldcg(from + i), rms, __ldg(weight + i));
}

// What becomes of the sum of one row.
struct StoreRow {
  template <class T>
  static __device__ __forceinline__ void apply(const GemvParams& p, float sum, int row,
                                               bool valid) {
    if (!valid) return;
    static_cast<float*>(p.out)[row] = p.bias ? sum + p.bias[row] : sum;
  }
};
struct AddRow {
  template <class T>
  static __device__ __forceinline__ void apply(const GemvParams& p, float sum, int row,
                                               bool valid) {
    if (!valid) return;
    float* out = static_cast<float*>(p.out) + row;
    __stcg(out, __ldcg(out) + (p.bias ? sum + p.bias[row] : sum));
  }
};
struct GateRow {  // all lanes call; even rows are gates, the next one's lane has the up
  template <class T>
  static __device__ __forceinline__ void apply(const GemvParams& p, float sum, int row,
                                               bool valid) {
    if (valid && p.bias) sum += p.bias[row];
    const float up = __shfl_down_sync(0xffffffffu, sum, 1);
    if (valid && row % 2 == 0) static_cast<T*>(p.out)[row / 2] = from_float<T>(silu(sum) * up);
  }
};

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
template <class S, class T>
__device__ __forceinline__ void multiply_group(WeightRing<S>& ring, GemvWalk<S>& walk, const T* x,
                                               int lane, float (&acc)[S::kRows]) {
  const uint4* x_chunk = reinterpret_cast<const uint4*>(x);
  for (int part = 0; part < walk.parts; ++part) {
    const int start = part * walk.part_chunks;
    const int n = min(walk.part_chunks, walk.chunks - start);
    const uint4* tile = reinterpret_cast<const uint4*>(ring.wait());
#pragma unroll 2
    for (int i = lane; i < n; i += 32) {
      const uint4 xc = x_chunk[start + i];
      const float2 xf[4] = {unpack2<T>(xc.x), unpack2<T>(xc.y), unpack2<T>(xc.z), unpack2<T>(xc.w)};
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

template <class S, class T, bool kNormed, class Epilogue>
__device__ __forceinline__ void gemv_body(const GemvParams& p, int unit) {
  extern __shared__ __align__(128) unsigned char shared[];
  pdl_trigger();
  const GemvShared<S> at(p.k);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int slice = warp % S::kSlices, rank = warp / S::kSlices;
  T* x = reinterpret_cast<T*>(shared + at.x);
  float* partial = reinterpret_cast<float*>(shared + at.partial);
  const int64_t units = p.rows / unit;
  const int first = static_cast<int>(units * blockIdx.x / gridDim.x) * unit;
  const int end = static_cast<int>(units * (blockIdx.x + 1) / gridDim.x) * unit;
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
    load_normed<S, T>(p, x, reinterpret_cast<float*>(shared + at.scratch));
  } else {
    pdl_wait();
    load_plain<S, T>(p, x);
  }
  __syncthreads();

  // --- batches of 32 rows; the sums of one are finished by one warp while the others go on
  for (int batch = 0, row0 = first; row0 < end; ++batch, row0 += kGemvBatch) {
    float* sums = partial + (batch & 1) * S::kSlices * kGemvBatch;
    const int rows = min(kGemvBatch, end - row0);
    for (int r = rank * S::kRows; r < rows; r += S::kRows * S::kGroups) {
      float acc[S::kRows] = {};
      multiply_group<S, T>(ring, walk, x + chunk0 * 8, lane, acc);
      const float sum = warp_sum_rows<S::kRows>(acc, lane);
      if (lane < S::kRows) sums[slice * kGemvBatch + r + lane] = sum;
    }
    __syncthreads();
    if (warp == batch % S::kWarps) {
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < S::kSlices; ++i) sum += sums[i * kGemvBatch + lane];
      Epilogue::template apply<T>(p, sum, row0 + lane, lane < rows);
    }
  }
}

}  // namespace kvtoll::cuda
