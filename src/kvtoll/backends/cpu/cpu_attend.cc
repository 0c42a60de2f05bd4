// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Attention over what the cache shows, and the cache's intake: exact tensors are read in place,
// quantized ones dequantized into scratch first, as Hugging Face's cache does.
#include "kvtoll/backends/cpu/bytes.h"
#include "kvtoll/backends/cpu/cpu_backend.h"

namespace kvtoll::cpu {
namespace {

StoreBytes bytes_of(const TensorCache& tensor, DType dtype, const ModelConfig& c, int64_t tokens) {
  return kv_store_bytes(tensor.format(), dtype, c.kv_heads, c.head_dim, tokens);
}

}  // namespace

// The new tokens join the cache: an append, or (prompt, flush) a quantization.
void CpuBackend::take_in(int layer, const SlotWork& work, TensorCache& tensor,
                         const Buffer& values) {
  const ModelConfig& c = config();
  const bool quantizes = tensor.quantized() && (tensor.length() == 0 || tensor.next_flushes());
  trace::Op op{"cpu_append", append_bytes(work.n, c.kv_width(), tensor.exact().dtype), layer};
  if (quantizes) {
    const bool appends = options_.flush == FlushRule::kAppend && tensor.store().append_only();
    const int64_t all = tensor.length() + work.n, from = appends ? tensor.stored() : 0;
    const StoreBytes after = bytes_of(tensor, options_.cache, c, all),
                     kept = bytes_of(tensor, options_.cache, c, from);
    op = {"cpu_quantize_flush",
          quantize_bytes(all - from, c.kv_width(),
                         after.payload + after.scales - kept.payload - kept.scales),
          layer};
  }
  const trace::Span span(op);
  Result<bool> stored = tensor.update(fresh(values, work), work.n);
  if (!stored && !failure_) failure_ = stored.error();
  flushed_ = flushed_ || (stored && *stored);
}

void CpuBackend::dequantize(int layer, const TensorCache& tensor, float* out) {
  const ModelConfig& c = config();
  const int64_t tokens = tensor.stored();
  const Bytes held = tensor.store().payload_bytes() + tensor.store().scale_bytes();
  const trace::Span span({"cpu_dequantize", dequantize_bytes(held, tokens, c.kv_width()), layer});
  const int64_t head = tokens * c.head_dim;
  pool_.parallel_for(c.kv_heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h)
      tensor.store().decode_head(static_cast<int>(h), {out + h * head, static_cast<size_t>(head)});
  });
}

// What attention sees of a tensor, in order of position.
std::vector<KvSegment> CpuBackend::segments(int layer, const SlotWork& work,
                                            const TensorCache& tensor, const Buffer& values,
                                            Buffer& read) {
  const int64_t dim = config().head_dim;
  std::vector<KvSegment> result;
  if (tensor.stored() > 0) {
    read.resize(tensor.stored() * config().kv_width() * kActivation);
    dequantize(layer, tensor, read.as<float>());
    result.push_back({read.as<float>(), DType::kF32, tensor.stored(), tensor.stored() * dim, dim});
  }
  if (tensor.exact().tokens > 0) result.push_back(tensor.exact());
  if (tensor.length() == work.position)  // not taken in yet
    result.push_back({fresh(values, work).data(), DType::kF32, work.n, work.n * dim, dim});
  return result;
}

AttentionJob CpuBackend::attention_job(int layer, const SlotWork& work) {
  const int64_t at = work.row * config().q_width();
  return {q_.as<float>() + at, attended_.as<float>() + at, work.n,
          zip_segments(segments(layer, work, cache_->key(work.slot, layer), k_new_, k_read_),
                       segments(layer, work, cache_->value(work.slot, layer), v_new_, v_read_))};
}

void CpuBackend::attend_to(int layer, const std::vector<AttentionJob>& jobs) {
  const AttentionShape shape{config().heads, config().kv_heads, config().head_dim};
  const trace::Span span({"cpu_attention", attention_bytes(shape, jobs), layer});
  attend_jobs(shape, jobs, pool_, attention_space_);
}

void CpuBackend::attend(int layer) {
  std::vector<AttentionJob> exact;  // read in place, all slots at once
  for (const SlotWork& work : work_) {
    if (failure_) return;
    TensorCache &key = cache_->key(work.slot, layer), &value = cache_->value(work.slot, layer);
    if (!key.quantized() && !value.quantized()) {
      exact.push_back(attention_job(layer, work));
      continue;
    }
    const std::pair<TensorCache*, const Buffer*> tensors[] = {{&key, &k_new_}, {&value, &v_new_}};
    if (options_.prefill == Prefill::kQuantized)
      for (const auto& [tensor, values] : tensors)
        if (tensor->length() == 0) take_in(layer, work, *tensor, *values);
    if (failure_) return;
    attend_to(layer, {attention_job(layer, work)});
    for (const auto& [tensor, values] : tensors)
      if (tensor->length() == work.position) take_in(layer, work, *tensor, *values);
  }
  if (!exact.empty()) attend_to(layer, exact);
}

}  // namespace kvtoll::cpu
