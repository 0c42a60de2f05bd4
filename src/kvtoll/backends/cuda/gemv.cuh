// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The body of the matrix-vector kernels. A block owns a contiguous range of rows; its warps split
// every row between them along k, so all are equally busy whatever the number of rows. Weights
// start to flow before the previous kernel has ended (launch.cuh).
#pragma once

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/backends/cuda/weight_ring.cuh"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {

inline constexpr int kGemvThreads = kGemvWarps * 32;
inline constexpr int kGemvBatch = 32;  // rows between two block barriers: one per lane

// Dynamic shared memory: rings | x [k] | partial sums [2][warps][batch] | barriers | norm scratch.
struct GemvShared {
  int x, partial, barriers, scratch, total;
  __host__ __device__ explicit GemvShared(int k) {
    x = kGemvWarps * WeightRing::kBytes;
    partial = x + (k * 2 + 15) / 16 * 16;
    barriers = partial + 2 * kGemvWarps * kGemvBatch * 4;
    scratch = barriers + kGemvWarps * kGemvDepth * 8;
    total = scratch + kGemvWarps * 4;
  }
};

// x [k] from global memory into shared memory, as T.
template <class T>
__device__ __forceinline__ void load_plain(const GemvParams& p, T* x) {
  const uint4* from = static_cast<const uint4*>(p.x);
  for (int i = threadIdx.x; i < p.k / 8; i += kGemvThreads)
    reinterpret_cast<uint4*>(x)[i] = __ldcg(from + i);
}

template <class T>
__device__ __forceinline__ void store_normed(T* x, int i, float4 v, float rms, float4 w) {
  uint2 packed;
  packed.x = pack2<T>(v.x * rms * w.x, v.y * rms * w.y);
  packed.y = pack2<T>(v.z * rms * w.z, v.w * rms * w.w);
  reinterpret_cast<uint2*>(x)[i] = packed;
}

// x = rmsnorm(residual) * weight, rounded to T once. residual [k] fp32.
template <class T>
__device__ __forceinline__ void load_normed(const GemvParams& p, T* x, float* scratch) {
  constexpr int kHeld = 4;  // float4 a thread keeps in registers; wider rows are read twice
  const float4* from = static_cast<const float4*>(p.x);
  const float4* weight = reinterpret_cast<const float4*>(p.norm);
  const int n = p.k / 4, tid = threadIdx.x;
  for (int i = tid * 8; i < n; i += kGemvThreads * 8)  // one line of 128 bytes each
    asm volatile("prefetch.global.L2 [%0];" ::"l"(weight + i));
  pdl_wait();
  float4 held[kHeld];
  float sum = 0.0f;
#pragma unroll
  for (int j = 0; j < kHeld; ++j) {
    const int i = tid + j * kGemvThreads;
    held[j] = i < n ? __ldcg(from + i) : float4{};
  }
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    sum += held[j].x * held[j].x + held[j].y * held[j].y + held[j].z * held[j].z +
           held[j].w * held[j].w;
  for (int i = tid + kHeld * kGemvThreads; i < n; i += kGemvThreads) {
    const float4 v = __ldcg(from + i);
    sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
  }
  sum = warp_sum(sum);
  if (tid % 32 == 0) scratch[tid / 32] = sum;
  __syncthreads();
  sum = 0.0f;
#pragma unroll
  for (int i = 0; i < kGemvWarps; ++i) sum += scratch[i];
  const float rms = rsqrtf(sum / static_cast<float>(p.k) + p.eps);
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = tid + j * kGemvThreads; i < n)
      store_normed<T>(x, i, held[j], rms, __ldg(weight + i));
  for (int i = tid + kHeld * kGemvThreads; i < n; i += kGemvThreads)
    store_normed<T>(x, i, __ldcg(from + i), rms, __ldg(weight + i));
}

// What becomes of the sum of one row; lane `lane` holds row `row`, valid when row < end.
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
struct GateRow {
  template <class T>
  static __device__ __forceinline__ void apply(const GemvParams& p, float sum, int row,
                                               bool valid) {
    if (valid && p.bias) sum += p.bias[row];
    const float up = __shfl_down_sync(0xffffffffu, sum, 1);
    if (valid && row % 2 == 0) static_cast<T*>(p.out)[row / 2] = from_float<T>(silu(sum) * up);
  }
};

// The walk of one warp over its tiles: groups of kGemvRows rows, each in `parts` pieces along k.
struct GemvWalk {
  const unsigned char* base;  // first row of the block, first chunk of the warp
  int64_t row_bytes;
  int rows, chunks, parts, part_chunks;
  int group = 0, part = 0;

  __device__ __forceinline__ bool more() const { return group * kGemvRows < rows; }
  __device__ __forceinline__ void request_next(WeightRing& ring) {
    if (!more()) return ring.request_nothing();
    const int start = part * part_chunks, first = group * kGemvRows;
    ring.request(base + first * row_bytes + start * 16, row_bytes, min(kGemvRows, rows - first),
                 min(part_chunks, chunks - start));
    if (++part == parts) part = 0, ++group;
  }
};

// One group of rows: waits for its pieces, multiplies, asks for later ones. Sums of this lane.
template <class T>
__device__ __forceinline__ void multiply_group(WeightRing& ring, GemvWalk& walk, const T* x,
                                               int lane, float (&acc)[kGemvRows]) {
  const uint4* x_chunk = reinterpret_cast<const uint4*>(x);
  for (int part = 0; part < walk.parts; ++part) {
    const int start = part * walk.part_chunks;
    const int n = min(walk.part_chunks, walk.chunks - start);
    const uint4* tile = ring.wait();
    for (int i = lane; i < n; i += 32) {
      const uint4 xc = x_chunk[start + i];
      const float2 xf[4] = {unpack2<T>(xc.x), unpack2<T>(xc.y), unpack2<T>(xc.z), unpack2<T>(xc.w)};
#pragma unroll
      for (int r = 0; r < kGemvRows; ++r) acc[r] = dot8<T>(tile[r * kGemvChunks + i], xf, acc[r]);
    }
    ring.release();
    walk.request_next(ring);
  }
}

template <class T, bool kNormed, class Epilogue>
__device__ __forceinline__ void gemv_body(const GemvParams& p, int unit) {
  extern __shared__ __align__(128) unsigned char shared[];
  pdl_trigger();
  const GemvShared at(p.k);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  T* x = reinterpret_cast<T*>(shared + at.x);
  float* partial = reinterpret_cast<float*>(shared + at.partial);
  const int64_t units = p.rows / unit;
  const int first = static_cast<int>(units * blockIdx.x / gridDim.x) * unit;
  const int end = static_cast<int>(units * (blockIdx.x + 1) / gridDim.x) * unit;
  const int all = p.k / 8, chunk0 = all * warp / kGemvWarps;
  GemvWalk walk{};
  walk.row_bytes = int64_t(p.k) * 2;
  walk.chunks = all * (warp + 1) / kGemvWarps - chunk0;
  walk.base = static_cast<const unsigned char*>(p.weights) + first * walk.row_bytes + chunk0 * 16;
  walk.parts = (walk.chunks + kGemvChunks - 1) / kGemvChunks;
  walk.part_chunks = walk.parts ? (walk.chunks + walk.parts - 1) / walk.parts : 0;
  walk.rows = walk.parts ? end - first : 0;  // fewer chunks than warps: this warp adds zeros
  WeightRing ring(shared + warp * WeightRing::kBytes,
                  reinterpret_cast<uint64_t*>(shared + at.barriers) + warp * kGemvDepth, lane);
  for (int i = 0; i < kGemvDepth; ++i) walk.request_next(ring);

  // --- the input, once everything before this kernel is complete
  if constexpr (kNormed) {
    load_normed<T>(p, x, reinterpret_cast<float*>(shared + at.scratch));
  } else {
    pdl_wait();
    load_plain<T>(p, x);
  }
  __syncthreads();

  // --- batches of 32 rows; the sums of one are finished by one warp while the others go on
  for (int batch = 0, row0 = first; row0 < end; ++batch, row0 += kGemvBatch) {
    float* sums = partial + (batch & 1) * kGemvWarps * kGemvBatch;
    const int rows = min(kGemvBatch, end - row0);
    for (int r = 0; r < rows; r += kGemvRows) {
      float acc[kGemvRows] = {};
      multiply_group<T>(ring, walk, x + chunk0 * 8, lane, acc);
#pragma unroll
      for (int i = 0; i < kGemvRows; ++i) acc[i] = warp_sum(acc[i]);
      if (lane < kGemvRows) sums[warp * kGemvBatch + r + lane] = lane == 0 ? acc[0] : acc[1];
    }
    __syncthreads();
    if (warp == batch % kGemvWarps) {
      float sum = 0.0f;
#pragma unroll
      for (int i = 0; i < kGemvWarps; ++i) sum += sums[i * kGemvBatch + lane];
      Epilogue::template apply<T>(p, sum, row0 + lane, lane < rows);
    }
  }
}

}  // namespace kvtoll::cuda
