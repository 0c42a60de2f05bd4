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

// How a sequence's positions are spread over blocks: in one cluster of all of them, which add up
// their results in each other's shared memory, or each on its own (cluster 1).
struct AttentionGrid {
  int splits = 1;  // blocks a group of heads
  int cluster = 1;

  // Whether all multiprocessors read, and so much that weights brought into the L2 before would not
  // stay there.
  bool streams() const { return cluster == 1 && splits > 1; }
};

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
  int heads = 0, row_count = 0;
  AttentionGrid grid;
  NextWeights next;  // of the output product, or null
};

// Kernel: attention_decode_kernel.
void launch_attention_decode(const AttentionParams& p, DType dtype, const LaunchContext& launch);

bool attention_serves(int head_dim);  // whether a kernel was built for this head size

// What a device runs at the same time.
struct AttentionRoom {
  int multiprocessors = 0;
  int clusters[5] = {};  // of 1, 2, 4, 8 and 16 blocks of attention; 0 where there are none
};
struct AttentionLoad {
  int rows = 0, kv_heads = 0, gqa = 0;
  int64_t tokens = 0;  // at most, of a sequence
};
AttentionGrid attention_grid(const AttentionLoad& load, const AttentionRoom& room);
// Steps whose longest sequences have these numbers of tokens share a grid, and so a captured graph:
// the largest such number, at most max_tokens.
int64_t attention_tokens(int rows, int64_t tokens, int64_t max_tokens);

// Keys and values once (tokens: cached positions over all rows, the new ones included), q in,
// output.
Bytes attention_decode_bytes(int64_t tokens, int rows, int heads, int kv_heads, int dim);

// Raises limits of the kernels for a head size; once, outside captures.
AttentionRoom prepare_attention(int head_dim, int multiprocessors);

}  // namespace kvtoll::cuda
