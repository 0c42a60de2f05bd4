// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Attention as Hugging Face's cache serves it, one named kernel after the other: the store is
// dequantized, joined with the exact tokens and the new one into fresh tensors, attended to, and at
// a flush the whole is quantized. For exact formats only the joining remains (DynamicCache).
#include "kvtoll/backends/cuda/cuda_backend.h"

namespace kvtoll::cuda {

// What attention sees of one tensor of one row, into its read buffer.
Result<void> CudaBackend::join_tensor(int layer, const TensorMemory& tensor, int row, void* read) {
  const ModelConfig& c = config();
  const int slot = rows_[static_cast<size_t>(row)];
  const int64_t capacity = request_.max_tokens, dim = c.head_dim;
  KvConcatParams p;
  p.out = static_cast<char*>(read) + int64_t(row) * c.kv_heads * capacity * dim * 2;
  p.out_head_stride = capacity * dim;
  p.kv_heads = c.kv_heads;
  p.dim = c.head_dim;
  if (tensor.whole) {
    p.parts[0] = {kv_.exact(tensor, slot), length(slot) + 1, capacity * dim};
    kv_device_concat(p, options_.cache, stream_.get(), kv_run(layer));
    return {};
  }
  const CacheSchedule& schedule = kv_.schedule(tensor, slot);
  const int64_t stored = schedule.stored();
  if (stored > 0) {
    KVTOLL_TRY(const KvDeviceLayout layout, layout_of(tensor, stored));
    dequantize_store(layer, layout, kv_.store(tensor, slot));
  }
  p.parts[0] = {kv_.dequantized(), stored, stored * dim};
  p.parts[1] = {kv_.window(tensor, slot), schedule.residual() + 1, tensor.window * dim};
  kv_device_concat(p, options_.cache, stream_.get(), kv_run(layer));
  return {};
}

Result<void> CudaBackend::attend_materialized(int layer) {
  const CacheView read = kv_.read();
  const int64_t row_bytes =
      int64_t(config().kv_heads) * request_.max_tokens * config().head_dim * 2;
  for (int row = 0; row < row_count_; ++row) {
    KVTOLL_TRY_VOID(join_tensor(layer, kv_.key(layer), row, read.k));
    KVTOLL_TRY_VOID(join_tensor(layer, kv_.value(layer), row, read.v));
  }
  attend_to(layer, read, true);
  for (int row = 0; row < row_count_; ++row) {
    const int slot = rows_[static_cast<size_t>(row)];
    const std::pair<const TensorMemory*, void*> tensors[] = {{&kv_.key(layer), read.k},
                                                             {&kv_.value(layer), read.v}};
    for (const auto& [tensor, buffer] : tensors) {
      if (tensor->whole) continue;
      const CacheSchedule& schedule = kv_.schedule(*tensor, slot);
      if (!schedule.next_flushes()) continue;
      KVTOLL_TRY_VOID(store_tensor(layer, *tensor, slot,
                                   static_cast<const char*>(buffer) + row * row_bytes,
                                   schedule.length() + 1, schedule.stored()));
    }
  }
  return {};
}

}  // namespace kvtoll::cuda
