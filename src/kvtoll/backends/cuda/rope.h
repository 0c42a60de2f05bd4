// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// RoPE and the cache append: biases and (Qwen3) q/k norms, rotation, and the new keys and values
// stored where attention will read them.
#pragma once

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/rows.h"

namespace kvtoll::cuda {

struct RopeParams {
  const float* qkv = nullptr;     // [rows, (heads + 2 kv_heads) * dim], q and k in pairs: weights.h
  const float* bias = nullptr;    // [(heads + 2 kv_heads) * dim] when the product did not add it
  const float* q_norm = nullptr;  // [dim] or null
  const float* k_norm = nullptr;  // [dim] or null
  const float* inv_freq = nullptr;  // [dim / 2]
  float attention_factor = 1.0f, eps = 0.0f;
  int heads = 0, row_count = 0;
  RowMap rows;
  void* q = nullptr;             // [rows, heads, dim], the cache's dtype
  CacheView cache;               // where keys and values go: position - start[slot]
  const int* k_start = nullptr;  // [slots] or null: 0
  const int* v_start = nullptr;
  enum class Place { kSlot, kRow, kSingle } place = Place::kSlot;  // first index of the view
};

// Kernel: rope_append_kernel. Angles are fp32 products, as transformers computes them.
void launch_rope_append(const RopeParams& p, DType cache_dtype, const LaunchContext& launch);
Bytes rope_append_bytes(int rows, int heads, int kv_heads, int dim);

}  // namespace kvtoll::cuda
