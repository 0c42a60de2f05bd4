// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Into the stores of quantized tensors and out of them again, and the flush of a decoded cache,
// where both happen in place.
#include <algorithm>

#include "kvtoll/backends/cuda/cuda_backend.h"
#include "kvtoll/formats/token_store.h"

namespace kvtoll::cuda {

KvRun CudaBackend::kv_run(int layer) {
  return [this, layer](const KvOp& op, const std::function<void()>& launch) {
    log_.run({op.kernel, {op.bytes}, layer}, launch);
  };
}

Result<KvDeviceLayout> CudaBackend::layout_of(const TensorMemory& tensor, int64_t tokens) const {
  return kv_device_layout(tensor.format, options_.cache, config().kv_heads, config().head_dim,
                          tokens);
}

bool CudaBackend::appends(const TensorMemory& tensor) const {
  return options_.flush == FlushRule::kAppend &&
         groups_inside_vector(tensor.format, config().kv_heads, config().head_dim);
}

void CudaBackend::quantize_store(int layer, const TensorMemory& tensor,
                                 const KvDeviceLayout& layout, const KvRows& rows, const void* x,
                                 int64_t x_stride, int64_t tokens) {
  const StoreMemory stores = kv_.stores(tensor);
  KvQuantizeParams p;
  p.x = x;
  p.head_stride = request_.max_tokens * config().head_dim;
  p.tokens = tokens;
  p.codes = stores.codes;
  p.scale = stores.scale;
  p.offset = stores.offset;
  p.workspace = kv_.scratch();
  p.stop = kv_.decoded() ? SolverStop::kDevice : SolverStop::kHost;
  p.x_stride = x_stride;
  p.code_stride = stores.code_stride;
  p.scale_stride = stores.scale_stride;
  p.rows = rows;
  kv_device_quantize(layout, p, stream_.get(), kv_run(layer));
}

void CudaBackend::dequantize_store(int layer, const TensorMemory& tensor,
                                   const KvDeviceLayout& layout, const KvRows& rows) {
  const StoreMemory stores = kv_.stores(tensor);
  KvDequantizeParams p{stores.codes, stores.scale, stores.offset, kv_.dequantized(), kv_.scratch()};
  p.code_stride = stores.code_stride;
  p.scale_stride = stores.scale_stride;
  p.out_stride = kv_.dequantized_stride();
  p.rows = rows;
  kv_device_dequantize(layout, p, stream_.get(), kv_run(layer));
}

Result<void> CudaBackend::store_tensor(int layer, const TensorMemory& tensor, const KvRows& rows,
                                       const void* x, int64_t tokens, int64_t from) {
  KVTOLL_TRY(const KvDeviceLayout layout, layout_of(tensor, tokens));
  if (!appends(tensor)) from = 0;
  quantize_store(layer, tensor, layout, rows,
                 static_cast<const char*>(x) + from * config().head_dim * 2, kv_.tensor_stride(),
                 tokens - from);
  return {};
}

Result<void> CudaBackend::quantize_in_place(int layer, const TensorMemory& tensor,
                                            const KvRows& rows, void* x, int64_t x_stride,
                                            int64_t tokens, int64_t from) {
  const ModelConfig& c = config();
  KVTOLL_TRY(KvDeviceLayout layout, layout_of(tensor, tokens));
  if (!appends(tensor)) from = 0;
  if (from > 0) layout = layout.part(tokens - from);
  const int64_t n = tokens - from;
  char* first = static_cast<char*>(x) + from * c.head_dim * 2;
  KvRows dense = rows;
  for (int row = 0; row < rows.count; ++row) dense.values[row] = static_cast<uint16_t>(row);
  quantize_store(layer, tensor, layout, rows, first, x_stride, n);
  dequantize_store(layer, tensor, layout, dense);
  KvCopyParams p{kv_.dequantized(), first,     n * c.head_dim, request_.max_tokens * c.head_dim, n,
                 c.kv_heads,        c.head_dim};
  p.x_stride = kv_.dequantized_stride();
  p.out_stride = x_stride;
  p.rows = rows;
  kv_device_copy(p, options_.cache, stream_.get(), kv_run(layer));
  return {};
}

// The tensors of a slot that flush now, those of one format together.
std::vector<CudaBackend::TensorGroup> CudaBackend::flushing_tensors(int slot) {
  std::vector<TensorGroup> groups;
  const auto tensors = kv_.tensors();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorMemory& tensor = tensors[i];
    if (!tensor.quantized() || !kv_.schedule(tensor, slot).next_flushes()) continue;
    auto group = std::ranges::find_if(groups, [&](const TensorGroup& g) {
      return g.tensor->format == tensor.format && g.tensor->schedule == tensor.schedule &&
             g.rows.count < kv_.passing_rows();
    });
    if (group == groups.end()) {
      groups.push_back({&tensor, {.count = 0}});
      group = groups.end() - 1;
    }
    group->rows.store[group->rows.count] = static_cast<uint16_t>(group->rows.count);
    group->rows.values[group->rows.count] = static_cast<uint16_t>(i);
    ++group->rows.count;
  }
  return groups;
}

// Attention of the whole step has seen the exact tokens; a flush concerns later steps only.
Result<void> CudaBackend::flush_decoded() {
  for (int row = 0; row < row_count_; ++row) {
    const int slot = rows_[static_cast<size_t>(row)];
    if (!kv_.next_flushes(slot)) continue;
    for (const TensorGroup& group : flushing_tensors(slot)) {
      const CacheSchedule& schedule = kv_.schedule(*group.tensor, slot);
      KVTOLL_TRY_VOID(quantize_in_place(-1, *group.tensor, group.rows,
                                        kv_.exact(kv_.tensors().front(), slot), kv_.tensor_pitch(),
                                        schedule.length() + 1, schedule.stored()));
    }
  }
  return {};
}

}  // namespace kvtoll::cuda
