// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Matrix-vector products of a decode step at batch 1: out = W f(x), with what precedes and follows
// fused in. Five kernels, one per operation, over one body (gemv.cuh). Weights are fp16 or bf16,
// row-major, k a multiple of 8; sums are fp32.
// Example: launch_norm_qkv({.weights = w, .rows = 4608, .k = 3584, ...}, dtype, launch);
#pragma once

#include <cuda_runtime.h>

#include "kvtoll/backends/cuda/rows.h"
#include "kvtoll/core/dtype.h"
#include "kvtoll/core/units.h"

namespace kvtoll::cuda {

// The matrix that the next product of the step reads, or null: see gemv.cuh.
struct NextWeights {
  const void* weights = nullptr;
  int64_t row_bytes = 0;
  int rows = 0, unit = 1;  // unit: rows that stay together (gate and up, pairs of RoPE)
};

struct GemvParams {
  const void* weights = nullptr;  // [rows, k]
  int rows = 0, k = 0;
  const void* x = nullptr;  // normed kernels: [k] fp32 residual; others: [k] in the weights' dtype
  const float* norm = nullptr;  // [k], RMSNorm weight; normed kernels
  float eps = 0.0f;
  const float* bias = nullptr;  // [rows] or null
  void* out = nullptr;          // see each kernel
  NextWeights next;
  // Whether the kernel before ends on all multiprocessors at once and late: then x would wait
  // behind a whole ring of weights, so the last stage is asked for behind it.
  bool late_x = false;
};

// q, k and v with RoPE and the cache append in the epilogue; for models without q/k norms.
struct QkvRopeParams : GemvParams {
  const float2* turns = nullptr;  // [dim / 2]: cos and sin at this row's position
  RowMap map;                     // of one row
  int heads = 0;
  void* q = nullptr;  // [heads, dim], the cache's dtype
  CacheView cache;    // by slot; the new token goes to its position
  bool half = true;   // the cache's dtype: fp16, else bf16
};

struct LaunchContext {
  cudaStream_t stream = nullptr;
  int multiprocessors = 0;
  int max_shared = 0;    // bytes of shared memory a block may have
  bool overlap = false;  // programmatic dependent launch
};

// out [rows] fp32 = W rmsnorm(x) + bias; rows: q, k, v heads.
void launch_norm_qkv(const GemvParams& p, DType dtype, const LaunchContext& launch);
// The same, then rotated and stored: q into p.q, k and v into the cache.
void launch_norm_qkv_rope(const QkvRopeParams& p, DType dtype, const LaunchContext& launch);
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

// Raises shared-memory limits for a model's products; once, outside captures. limit: bytes a block
// may have on this device.
struct GemvWidths {
  int hidden = 0, query = 0, ffn = 0;
};
void prepare_gemv(const GemvWidths& widths, DType dtype, int limit);

}  // namespace kvtoll::cuda
