// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Causal attention of a chunk of a prompt over everything cached so far, on tensor cores. Source:
// Dao, "FlashAttention-2", 2023. Any head size up to 256 that is a multiple of 16.
#pragma once

#include <cuda_runtime.h>

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/core/dtype.h"
#include "kvtoll/core/units.h"

namespace kvtoll::cuda {

struct PrefillParams {
  const void* q = nullptr;  // [rows, heads, dim], the cache's dtype
  const void* k = nullptr;  // [kv_heads, capacity, dim]: one sequence
  const void* v = nullptr;
  void* out = nullptr;  // [rows, heads, dim], the weights' dtype
  DType out_dtype = DType::kF16;
  int64_t capacity = 0;
  int heads = 0, kv_heads = 0, dim = 0;
  int rows = 0;
  int first = 0;  // position of row 0; row r sees positions 0 .. first + r
};

// Kernel: attention_prefill_kernel.
void launch_attention_prefill(const PrefillParams& p, DType dtype, const LaunchContext& launch);
// Queries and outputs once, and the visible keys and values once for each block of 64 queries.
Bytes attention_prefill_bytes(const PrefillParams& p);
void prepare_attention_prefill();

// On compute capability 9.0, head sizes 64 and 128: attention_prefill_sm90_kernel, blocks of 128
// queries. False where this build or the driver lacks it.
bool attention_prefill_sm90_serves(int dim);
void launch_attention_prefill_sm90(const PrefillParams& p, DType dtype,
                                   const LaunchContext& launch);
void prepare_attention_prefill_sm90();

}  // namespace kvtoll::cuda
