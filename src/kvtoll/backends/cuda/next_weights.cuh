// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How the rows of a product are shared by blocks, and how a kernel brings the first of the next
// product's weights into the L2 when it has asked for all that it reads itself.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/tuning/gemv_shape.h"

namespace kvtoll::cuda {

// Where the rows of block b of a product of `blocks` blocks start.
__device__ __forceinline__ int first_row(int rows, int unit, int b, int blocks) {
  return static_cast<int>(static_cast<int64_t>(rows / unit) * b / blocks) * unit;
}

// Brings bytes (a multiple of 16) into the L2; one lane's instruction.
__device__ __forceinline__ void prefetch_l2(const unsigned char* from, int bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  if (threadIdx.x % 32 == 0)
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
#endif
}

// What block b of `blocks` reads first of the next product, this warp's part of it.
template <int kWarps>
__device__ __forceinline__ void prefetch_next(const NextWeights& next, int b, int blocks,
                                              int warp) {
  if (!next.weights) return;
  constexpr int kShare = kAheadBytes / kWarps;
  const int64_t at = first_row(next.rows, next.unit, b, blocks) * next.row_bytes + warp * kShare;
  if (at + kShare <= next.rows * next.row_bytes)
    prefetch_l2(static_cast<const unsigned char*>(next.weights) + at, kShare);
}

}  // namespace kvtoll::cuda
