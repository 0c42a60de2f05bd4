// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products of a decode step at batch 1: out = W f(x), with what precedes and follows
// fused in. Five kernels, one per operation, over one body (gemv.cuh). Weights are fp16 or bf16,
// row-major, k a multiple of 8; sums are fp32.
// Example: launch_norm_qkv({.weights = w, .rows = 4608, .k = 3584, ...}, dtype, launch);
#pragma once

#include <cuda_runtime.h>

#include "kvtoll/core/dtype.h"
#include "kvtoll/core/units.h"

namespace kvtoll::cuda {

struct GemvParams {
  const void* weights = nullptr;  // [rows, k]
  int rows = 0, k = 0;
  const void* x = nullptr;  // normed kernels: [k] fp32 residual; others: [k] in the weights' dtype
  const float* norm = nullptr;  // [k], RMSNorm weight; normed kernels
  float eps = 0.0f;
  const float* bias = nullptr;  // [rows] or null
  void* out = nullptr;          // see each kernel
};

struct LaunchContext {
  cudaStream_t stream = nullptr;
  int multiprocessors = 0;
  bool overlap = false;  // programmatic dependent launch
};

// out [rows] fp32 = W rmsnorm(x) + bias; rows: q, k, v heads.
void launch_norm_qkv(const GemvParams& p, DType dtype, const LaunchContext& launch);
// out [rows] fp32 += W x + bias.
void launch_output_add(const GemvParams& p, DType dtype, const LaunchContext& launch);
// Rows 2i and 2i+1 are gate i and up i; out [rows / 2] = silu(gate) * up, in the weights' dtype.
void launch_norm_gate_up(const GemvParams& p, DType dtype, const LaunchContext& launch);
// out [rows] fp32 += W x + bias.
void launch_down_add(const GemvParams& p, DType dtype, const LaunchContext& launch);
// out [rows] fp32 = W rmsnorm(x).
void launch_norm_lm_head(const GemvParams& p, DType dtype, const LaunchContext& launch);

// Bytes the product must move: weights once, x, norm and bias in, out (read too when it is added).
Bytes gemv_bytes(int64_t rows, int64_t k, int out_bytes, bool adds, bool bias);

// Raises shared-memory limits for products of this width; once, outside captures.
void prepare_gemv(int max_k);

}  // namespace kvtoll::cuda
