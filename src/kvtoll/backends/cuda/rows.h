// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Which sequence and position each row of the activations is, read by kernels from device memory so
// that one captured graph serves every step.
#pragma once

#include <cstdint>

namespace kvtoll::cuda {

struct RowMap {
  const int* slot = nullptr;    // [rows]: the slot a row belongs to
  const int* length = nullptr;  // [slots]: cached tokens before the step
  int offset = 0;               // prefill: row r is position length[slot] + offset + r
  bool prefill = false;         // all rows belong to slot[0]; otherwise one row a slot
};

#if defined(__CUDACC__)
__device__ __forceinline__ int row_slot(const RowMap& map, int row) {
  return map.slot[map.prefill ? 0 : row];
}
__device__ __forceinline__ int row_position(const RowMap& map, int row) {
  return map.length[row_slot(map, row)] + (map.prefill ? map.offset + row : 0);
}
#endif

// Exact keys and values of one layer: [slot][kv_head][capacity][dim] each; values may have another
// capacity (residual windows of another length).
struct CacheView {
  void* k = nullptr;
  void* v = nullptr;
  int64_t capacity = 0;  // positions a slot has room for
  int kv_heads = 0, dim = 0;
  int64_t v_capacity = 0;
};

}  // namespace kvtoll::cuda
