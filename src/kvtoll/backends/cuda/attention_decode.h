// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Attention of one new token a sequence over exact fp16 or bf16 keys and values (flash decoding:
// the sequence is split over blocks, partial results are combined with their running maximum and
// sum). Head sizes 64, 80, 96, 128, 256; any ratio of query to kv heads. Source: Dao et al.,
// "Flash-Decoding", 2023; online softmax: Milakov and Gimelshein 2018.
#pragma once

#include <cuda_runtime.h>

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/rows.h"
#include "kvtoll/core/dtype.h"
#include "kvtoll/core/units.h"

namespace kvtoll::cuda {

struct AttentionParams {
  const void* q = nullptr;  // [rows, heads, dim], the cache's dtype
  CacheView cache;
  RowMap rows;
  bool slot_is_row = false;  // the cache view is indexed by row (materialized copies)
  void* out = nullptr;       // [rows, heads, dim], the weights' dtype
  DType out_dtype = DType::kF16;
  float* partial = nullptr;     // [rows, kv_heads, head groups, splits, 8, dim]
  float2* stats = nullptr;      // [rows, kv_heads, head groups, splits, 8]: maximum (base 2), sum
  unsigned* arrived = nullptr;  // [rows, kv_heads, head groups], zero before and after
  int heads = 0, row_count = 0, splits = 1;
};

// Kernel: attention_decode_kernel.
void launch_attention_decode(const AttentionParams& p, DType dtype, const LaunchContext& launch);

bool attention_serves(int head_dim);  // whether a kernel was built for this head size
int attention_splits(int rows, int kv_heads, int gqa, int multiprocessors, int64_t max_tokens);
int64_t attention_partial_floats(int rows, int heads, int kv_heads, int dim, int splits);

// Keys and values once (tokens: cached positions over all rows, the new ones included), q in,
// output.
Bytes attention_decode_bytes(int64_t tokens, int rows, int heads, int kv_heads, int dim);

// Shared-memory limits of the kernels for a head size; once, outside captures.
void prepare_attention(int head_dim);

}  // namespace kvtoll::cuda
