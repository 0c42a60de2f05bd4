// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cuda/kv_memory.h"

#include <algorithm>

#include "kvtoll/device/cuda_error.h"

namespace kvtoll::cuda {
namespace {

int64_t align16(int64_t n) { return (n + 255) / 256 * 256; }

}  // namespace

int KvMemory::schedule_of(int residual) {
  const auto found = std::ranges::find(residuals_, residual);
  if (found != residuals_.end()) return static_cast<int>(found - residuals_.begin());
  residuals_.push_back(residual);
  return static_cast<int>(residuals_.size()) - 1;
}

void KvMemory::plan_tensor(TensorMemory& t, const StoreBytes& bytes) {
  const CacheRequest& c = request_.cache;
  const int64_t token = int64_t(request_.kv_heads) * request_.head_dim * 2;
  t.whole = !t.format.quantized() || request_.holding == KvHolding::kDecoded;
  t.payload_stride = t.whole ? c.max_tokens * token : align16(bytes.payload.value);
  payload_.add(&t.payload, c.slots * t.payload_stride);
  const int length = t.format.residual.value_or(c.residual_length);
  if (t.format.quantized()) t.schedule = schedule_of(length);
  if (t.whole) return;
  t.scale_stride = 2 * align16(bytes.scales.value / 2);
  scales_.add(&t.scales, c.slots * t.scale_stride);
  t.window = std::max(length, 2);  // the token that completes it is there while attention reads
  residual_.add(&t.residual, c.slots * t.window * token);
}

Result<MemorySplit> KvMemory::plan(const KvMemoryRequest& request) {
  request_ = request;
  const CacheRequest& c = request.cache;
  tensors_.assign(2 * c.layers.size(), {});
  Bytes scratch;
  StoreBytes largest;
  // Stores are sized for whole groups of positions, so that every length up to it fits.
  const int64_t most = (c.max_tokens + 63) / 64 * 64;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    TensorMemory& t = tensors_[i];
    t.format = i % 2 ? c.layers[i / 2].value : c.layers[i / 2].key;
    StoreBytes bytes;
    if (t.format.quantized()) {
      KVTOLL_TRY(
          const KvDeviceLayout layout,
          kv_device_layout(t.format, request.dtype, request.kv_heads, request.head_dim, most));
      bytes = layout.bytes();
      scratch = std::max({scratch, kv_quantize_workspace(layout), kv_dequantize_scratch(layout)});
      largest.payload = std::max(largest.payload, bytes.payload);
      largest.scales = std::max(largest.scales, bytes.scales);
    }
    plan_tensor(t, bytes);
  }
  plan_workspace(most, scratch, largest);
  workspace_.add(&starts_, std::max<int64_t>(1, int64_t(residuals_.size()) * c.slots) * 4);
  for (int residual : residuals_)
    for (int slot = 0; slot < c.slots; ++slot) schedules_.emplace_back(residual);
  MemorySplit split;
  split[MemoryTag::kKvPayload] = payload_.bytes();
  split[MemoryTag::kKvScales] = scales_.bytes();
  split[MemoryTag::kKvResidual] = residual_.bytes();
  split[MemoryTag::kWorkspace] = workspace_.bytes();
  return split;
}

void KvMemory::plan_workspace(int64_t most_tokens, Bytes scratch, const StoreBytes& largest) {
  const CacheRequest& c = request_.cache;
  const int64_t token = int64_t(request_.kv_heads) * request_.head_dim * 2;
  if (request_.holding == KvHolding::kMaterialize) {
    workspace_.add(&read_k_, c.slots * c.max_tokens * token);
    workspace_.add(&read_v_, c.slots * c.max_tokens * token);
  }
  if (!any_quantized()) return;
  dequantized_stride_ = most_tokens * token / 2;
  if (request_.holding == KvHolding::kMaterialize) {  // all rows of a step in one launch
    workspace_.add(&dequantized_, c.slots * most_tokens * token);
    workspace_.add(&scratch_, std::min(c.slots, KvRows::kMost) * scratch.value);
    return;
  }
  // Decoded: as many tensors of one sequence as half a gigabyte holds.
  constexpr int64_t kMostBytes = int64_t{512} << 20;
  passing_.code_stride = align16(largest.payload.value);
  passing_.scale_stride = align16(largest.scales.value / 2);
  const int64_t row =
      most_tokens * token + scratch.value + passing_.code_stride + 2 * passing_.scale_stride;
  const auto tensors = std::min<int64_t>(KvRows::kMost, static_cast<int64_t>(tensors_.size()));
  passing_rows_ = static_cast<int>(std::clamp<int64_t>(kMostBytes / row, 1, tensors));
  workspace_.add(&dequantized_, passing_rows_ * most_tokens * token);
  workspace_.add(&scratch_, passing_rows_ * scratch.value);
  workspace_.add(&passing_.codes, passing_rows_ * passing_.code_stride);
  workspace_.add(&passing_.scale, passing_rows_ * passing_.scale_stride);
  workspace_.add(&passing_.offset, passing_rows_ * passing_.scale_stride);
}

Result<void> KvMemory::allocate(DeviceMemory& memory) {
  KVTOLL_TRY(payload_memory_, payload_.allocate(memory, MemoryTag::kKvPayload));
  if (scales_.bytes().value > 0) {
    KVTOLL_TRY(scales_memory_, scales_.allocate(memory, MemoryTag::kKvScales));
    KVTOLL_TRY(residual_memory_, residual_.allocate(memory, MemoryTag::kKvResidual));
  }
  KVTOLL_TRY(workspace_memory_, workspace_.allocate(memory, MemoryTag::kWorkspace));
  KVTOLL_CUDA(cudaMemset(starts_, 0, std::max<size_t>(1, schedules_.size()) * 4));
  return {};
}

CacheView KvMemory::rows(int layer) const {
  const TensorMemory &k = key(layer), &v = value(layer);
  return {k.whole ? k.payload : k.residual,
          v.whole ? v.payload : v.residual,
          k.whole ? request_.cache.max_tokens : k.window,
          request_.kv_heads,
          request_.head_dim,
          v.whole ? request_.cache.max_tokens : v.window};
}

CacheView KvMemory::read() const {
  return {read_k_,           read_v_,           request_.cache.max_tokens,
          request_.kv_heads, request_.head_dim, request_.cache.max_tokens};
}

StoreMemory KvMemory::stores(const TensorMemory& t) const {
  if (t.whole) return passing_;
  return {t.payload, t.scales, t.scales + t.scale_stride / 2, t.payload_stride, t.scale_stride};
}

void KvMemory::upload_starts(int slot, cudaStream_t stream) {
  for (size_t i = 0; i < residuals_.size(); ++i) {
    const size_t at = schedule_at(i, slot);
    const int start = static_cast<int>(schedules_[at].stored());
    KVTOLL_CUDA(cudaMemcpyAsync(starts_ + at, &start, 4, cudaMemcpyHostToDevice, stream));
  }
}

bool KvMemory::advance(int slot, int64_t prompt, cudaStream_t stream) {
  bool flushed = false;
  for (size_t i = 0; i < residuals_.size(); ++i) {
    CacheSchedule& s = schedules_[schedule_at(i, slot)];
    if (prompt > 0)
      s.prefill(prompt);
    else
      flushed = s.update(1) || flushed;
  }
  if (prompt > 0 || flushed) upload_starts(slot, stream);
  return flushed;
}

bool KvMemory::next_flushes(int slot) const {
  for (size_t i = 0; i < residuals_.size(); ++i)
    if (schedules_[schedule_at(i, slot)].next_flushes()) return true;
  return false;
}

void KvMemory::append_stored(int slot, std::vector<int64_t>& out) const {
  for (size_t i = 0; i < residuals_.size(); ++i)
    out.push_back(schedules_[schedule_at(i, slot)].stored());
}

void KvMemory::clear(int slot, cudaStream_t stream) {
  for (size_t i = 0; i < residuals_.size(); ++i) schedules_[schedule_at(i, slot)].clear();
  if (!residuals_.empty()) upload_starts(slot, stream);
}

}  // namespace kvtoll::cuda
