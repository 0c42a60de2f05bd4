// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Where keys and values live on the device: one place per slot, layer and tensor (K or V). Exact
// formats hold all tokens in the cache's dtype; quantized ones hold a store (codes, scales,
// offsets) and a window of exact tokens, with Hugging Face's schedule (cache/schedule.h). What
// attention needs under `materialize` is put together in read buffers, as the real cache does.
// Decoded (BackendOptions::keep_decoded), a quantized tensor lies as an exact one would: its stored
// positions hold what the store gave back, and no store is kept.
#pragma once

#include <cuda_runtime.h>

#include <span>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/backends/cuda/rows.h"
#include "kvtoll/backends/cuda/slab.h"
#include "kvtoll/cache/schedule.h"
#include "kvtoll/formats/kv_device.h"

namespace kvtoll::cuda {

// One tensor of one layer, all slots.
struct TensorMemory {
  KvFormat format;
  bool whole = true;         // all positions lie in payload, in the cache's dtype: exact or decoded
  int window = 0;            // otherwise: exact tokens a slot has room for
  char* payload = nullptr;   // [slots] of payload_stride bytes: codes, or exact values
  char* scales = nullptr;    // [slots] of scale_stride bytes: scale, then offset
  char* residual = nullptr;  // [slots, kv_heads, window, dim]
  int64_t payload_stride = 0, scale_stride = 0;
  int schedule = -1;  // index into KvMemory's schedules; -1: never quantized
  bool quantized() const { return schedule >= 0; }
};

// The stores of one tensor, by slot; decoded: those through which all tensors pass.
struct StoreMemory {
  char *codes = nullptr, *scale = nullptr, *offset = nullptr;
  int64_t code_stride = 0, scale_stride = 0;  // bytes
};

// How quantized tensors are held.
enum class KvHolding : uint8_t {
  kNone,         // there are none: exact formats, read in place
  kMaterialize,  // stores and windows; read buffers for a step's rows
  kDecoded       // as exact ones, quantized and read back in place
};

struct KvMemoryRequest {
  CacheRequest cache;
  DType dtype = DType::kF16;
  int kv_heads = 0, head_dim = 0;
  KvHolding holding = KvHolding::kNone;
};

class KvMemory {
 public:
  // Sizes by tag, before anything is allocated. Errors: kUnsupported where a format has no layout.
  Result<MemorySplit> plan(const KvMemoryRequest& request);
  // Errors: kOutOfMemory.
  Result<void> allocate(DeviceMemory& memory);

  bool any_quantized() const { return !residuals_.empty(); }
  bool decoded() const { return request_.holding == KvHolding::kDecoded; }
  const TensorMemory& key(int layer) const { return tensors_[static_cast<size_t>(2 * layer)]; }
  const TensorMemory& value(int layer) const {
    return tensors_[static_cast<size_t>(2 * layer + 1)];
  }
  // Whether attention can read a layer where it lies, prompts included.
  bool whole(int layer) const { return key(layer).whole && value(layer).whole; }

  // Exact K and V of a layer, by slot: all tokens, or (stores) the residual windows.
  CacheView rows(int layer) const;
  // Materialized K and V of the layer at hand, by row: [rows][kv_head][max_tokens][dim].
  CacheView read() const;
  // [rows] of dequantized_stride() elements: [kv_head, tokens, dim] of one tensor.
  void* dequantized() const { return dequantized_; }
  int64_t dequantized_stride() const { return dequantized_stride_; }
  void* scratch() const { return scratch_; }
  // Device array [slots]: position of the first token in the residual window; null when whole.
  const int* starts(const TensorMemory& tensor) const {
    return tensor.whole ? nullptr : starts_ + tensor.schedule * request_.cache.slots;
  }
  CacheSchedule& schedule(const TensorMemory& tensor, int slot) {
    return schedules_[static_cast<size_t>(tensor.schedule * request_.cache.slots + slot)];
  }
  StoreMemory stores(const TensorMemory& t) const;
  // Elements from one sequence's whole tensor to the next: payload of whole ones, read buffers.
  int64_t tensor_stride() const {
    return request_.cache.max_tokens * request_.kv_heads * request_.head_dim;
  }
  // Decoded: all tensors of a slot, keys and values of each layer in turn, lie tensor_pitch()
  // elements apart, and passing_rows() of them can pass at once.
  int64_t tensor_pitch() const {
    return tensors_.size() < 2 ? 0 : (tensors_[1].payload - tensors_[0].payload) / 2;
  }
  int passing_rows() const { return passing_rows_; }
  std::span<const TensorMemory> tensors() const { return tensors_; }
  char* exact(const TensorMemory& t, int slot) const { return t.payload + slot * t.payload_stride; }

  // One-token updates of every schedule of a slot; writes the new starts to `stream` where they
  // changed. prompt: the first call of a sequence. Returns whether anything was flushed.
  bool advance(int slot, int64_t prompt, cudaStream_t stream);
  bool next_flushes(int slot) const;
  // Stored tokens of a slot under each schedule.
  void append_stored(int slot, std::vector<int64_t>& out) const;
  void clear(int slot, cudaStream_t stream);

 private:
  void plan_tensor(TensorMemory& tensor, const StoreBytes& bytes);
  void plan_workspace(int64_t most_tokens, Bytes scratch, const StoreBytes& largest);
  int schedule_of(int residual);
  size_t schedule_at(size_t residual, int slot) const {
    return residual * static_cast<size_t>(request_.cache.slots) + static_cast<size_t>(slot);
  }
  void upload_starts(int slot, cudaStream_t stream);

  KvMemoryRequest request_;
  std::vector<TensorMemory> tensors_;     // [2 * layers]
  std::vector<int> residuals_;            // residual length of each schedule
  std::vector<CacheSchedule> schedules_;  // [residuals, slots]
  Slab payload_, scales_, residual_, workspace_;
  DeviceBuffer payload_memory_, scales_memory_, residual_memory_, workspace_memory_;
  char *read_k_ = nullptr, *read_v_ = nullptr;
  StoreMemory passing_;  // decoded
  int passing_rows_ = 1;
  char *dequantized_ = nullptr, *scratch_ = nullptr;
  int64_t dequantized_stride_ = 0;
  int* starts_ = nullptr;  // [residuals, slots]
};

}  // namespace kvtoll::cuda
