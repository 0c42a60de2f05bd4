// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Attention as Hugging Face's cache serves it, one named kernel after the other: the store is
// dequantized, joined with the exact tokens and the new one into fresh tensors, attended to, and at
// a flush the whole is quantized. For exact formats only the joining remains (DynamicCache). A
// launch serves all rows of the step whose stores are equally long.
#include <algorithm>

#include "kvtoll/backends/cuda/cuda_backend.h"

namespace kvtoll::cuda {

std::vector<CudaBackend::RowGroup> CudaBackend::row_groups(const TensorMemory& tensor,
                                                           bool flushing) {
  std::vector<RowGroup> groups;
  for (int row = 0; row < row_count_; ++row) {
    const int slot = rows_[static_cast<size_t>(row)];
    const CacheSchedule& schedule = kv_.schedule(tensor, slot);
    if (flushing && !schedule.next_flushes()) continue;
    const int64_t stored = schedule.stored(), tokens = schedule.length() + 1;
    auto group = std::ranges::find_if(groups, [&](const RowGroup& g) {
      return g.stored == stored && (!flushing || g.tokens == tokens) &&
             g.rows.count < KvRows::kMost;
    });
    if (group == groups.end()) {
      groups.push_back({stored, tokens, {.count = 0}});
      group = groups.end() - 1;
    }
    group->rows.store[group->rows.count] = static_cast<uint16_t>(slot);
    group->rows.values[group->rows.count] = static_cast<uint16_t>(row);
    ++group->rows.count;
  }
  return groups;
}

// What attention sees of one tensor of every row, into its read buffer.
Result<void> CudaBackend::join_tensor(int layer, const TensorMemory& tensor, void* read) {
  const ModelConfig& c = config();
  KvConcatParams p;
  if (tensor.whole) {
    p.exact = tensor.payload;
    p.capacity = request_.max_tokens;
  } else {
    for (const RowGroup& group : row_groups(tensor, false)) {
      if (group.stored == 0) continue;
      KVTOLL_TRY(const KvDeviceLayout layout, layout_of(tensor, group.stored));
      dequantize_store(layer, tensor, layout, group.rows);
    }
    p.store = kv_.dequantized();
    p.store_stride = kv_.dequantized_stride();
    p.exact = tensor.residual;
    p.capacity = tensor.window;
    p.start = kv_.starts(tensor);
  }
  p.out = read;
  p.out_capacity = request_.max_tokens;
  p.slot = act_.row_slot;
  p.length = act_.slot_length;
  p.rows = row_count_;
  p.kv_heads = c.kv_heads;
  p.dim = c.head_dim;
  // A captured launch is told again with the bytes of its step.
  const KvRun run = [&](const KvOp& op, const std::function<void()>& launch) {
    const Bytes token = kv_concat_bytes(1, c.kv_heads, c.head_dim, options_.cache);
    log_.run({op.kernel, {Bytes(0), token}, layer}, launch);
  };
  kv_device_concat(p, 0, options_.cache, stream_.get(), run);
  return {};
}

Result<void> CudaBackend::attend_materialized(int layer) {
  const CacheView read = kv_.read();
  const std::pair<const TensorMemory*, void*> tensors[] = {{&kv_.key(layer), read.k},
                                                           {&kv_.value(layer), read.v}};
  for (const auto& [tensor, buffer] : tensors) KVTOLL_TRY_VOID(join_tensor(layer, *tensor, buffer));
  attend_to(layer, read, true);
  for (const auto& [tensor, buffer] : tensors) {
    if (tensor->whole) continue;
    for (const RowGroup& group : row_groups(*tensor, true))
      KVTOLL_TRY_VOID(store_tensor(layer, *tensor, group.rows, buffer, group.tokens, group.stored));
  }
  return {};
}

}  // namespace kvtoll::cuda
