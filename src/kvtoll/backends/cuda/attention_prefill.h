// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Causal attention of a chunk of a prompt over everything cached so far, on tensor cores. Source:
// Dao, "FlashAttention-2", 2023. Any head size up to 256 that is a multiple of 16.
#pragma once

#include <cuda_runtime.h>

#include <optional>
#include <string_view>

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

// One of the kernels; a block of it has `queries` queries of one head.
struct PrefillKernel {
  std::string_view name;
  int queries = 0;
  void (*launch)(const PrefillParams& p, DType dtype, const LaunchContext& launch) = nullptr;
};
// The one for compute capability `major`.x and a head size, ready to be launched:
// attention_prefill_sm90_kernel (9.x, head sizes 64 and 128), otherwise attention_prefill_kernel.
PrefillKernel prefill_kernel(int major, int dim);
// What this build has for 9.0; nothing for other head sizes or where the driver is too old.
std::optional<PrefillKernel> prefill_sm90_kernel(int dim);

// Queries and outputs once, and the visible keys and values once for each block of queries.
Bytes attention_prefill_bytes(const PrefillParams& p, int queries);

}  // namespace kvtoll::cuda
