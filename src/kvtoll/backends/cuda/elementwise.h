// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The small kernels of a step: embedding, RMSNorm and gated activation for several rows, biases,
// argmax. Residual stream and products' outputs are fp32; what a product reads is in the weights'
// dtype.
#pragma once

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/rows.h"

namespace kvtoll::cuda {

struct EmbedParams {
  const void* table = nullptr;  // [vocab, hidden], the weights' dtype
  const int* tokens = nullptr;  // [rows] (prefill) or [slots] (decode: indexed by slot)
  RowMap rows;
  float* x = nullptr;  // [rows, hidden]
  int row_count = 0, hidden = 0;
  float2* turns = nullptr;          // [rows, half] cos and sin of the rows' positions, or null
  const float* inv_freq = nullptr;  // [half]
  float attention_factor = 1.0f;
  int half = 0;
};
void launch_embed(const EmbedParams& p, DType dtype, const LaunchContext& launch);  // embed_kernel
Bytes embed_bytes(int64_t rows, int64_t hidden);

// y [rows, k] in dtype = rmsnorm(x [rows, k]) * weight. Kernel: rmsnorm_kernel.
void launch_rmsnorm(const float* x, const float* weight, float eps, int rows, int k, void* y,
                    DType dtype, const LaunchContext& launch);
Bytes rmsnorm_bytes(int64_t rows, int64_t k);

// h [rows, ffn] = silu(gate) * up; gate_up [rows, 2 ffn] interleaved; bias [2 ffn] or null. Kernel:
// silu_mul_kernel.
void launch_silu_mul(const float* gate_up, const float* bias, int64_t rows, int ffn, void* h,
                     DType dtype, const LaunchContext& launch);
Bytes silu_mul_bytes(int64_t rows, int64_t ffn);

// x [rows, k] += bias [k]. Kernel: bias_add_kernel.
void launch_bias_add(float* x, const float* bias, int64_t rows, int k, const LaunchContext& launch);
Bytes bias_add_bytes(int64_t rows, int64_t k);

struct ArgmaxParams {
  const float* logits = nullptr;  // [rows, vocab]
  int vocab = 0, row_count = 0;
  const int* slot = nullptr;           // [rows]
  unsigned long long* best = nullptr;  // [rows], zero before and after
  unsigned* done = nullptr;            // [rows], zero before and after
  int* slot_token = nullptr;           // [slots]: the token the slot feeds next
  // [2, slots], host memory the device can write: the tokens of a step do not replace those of the
  // one before, which the host may not have read yet. The slot's new length decides the half.
  int* next = nullptr;
  int slots = 0;
  int* length = nullptr;  // [slots]: += advance
  int advance = 0;
};
// The largest logit's index, the lowest one among equals. Kernel: argmax_kernel.
void launch_argmax(const ArgmaxParams& p, const LaunchContext& launch);
Bytes argmax_bytes(int64_t rows, int64_t vocab);

}  // namespace kvtoll::cuda
