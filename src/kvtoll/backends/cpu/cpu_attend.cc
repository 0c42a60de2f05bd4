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

Bytes CpuBackend::quantized_bytes(const TensorCache& tensor, int64_t n) const {
  const ModelConfig& c = config();
  const bool appends = options_.flush == FlushRule::kAppend && tensor.store().append_only();
  const int64_t all = tensor.length() + n, from = appends ? tensor.stored() : 0;
  const StoreBytes after = bytes_of(tensor, options_.cache, c, all),
                   kept = bytes_of(tensor, options_.cache, c, from);
  return quantize_bytes(all - from, c.kv_width(),
                        after.payload + after.scales - kept.payload - kept.scales);
}

// New tokens join the cache: appends first, then (prompt, flush) quantizations, a thread each.
void CpuBackend::take_in(int layer, const SlotWork& work, std::span<const Intake> intakes) {
  std::vector<const Intake*> appends, quantizes;
  Bytes appended{}, quantized{};
  for (const Intake& in : intakes) {
    const TensorCache& tensor = *in.tensor;
    if (tensor.quantized() && (tensor.length() == 0 || tensor.next_flushes())) {
      quantizes.push_back(&in);
      quantized += quantized_bytes(tensor, work.n);
    } else {
      appends.push_back(&in);
      appended += append_bytes(work.n, config().kv_width(), tensor.exact().dtype);
    }
  }
  if (!appends.empty()) {
    const trace::Span span({"cpu_append", appended, layer});
    for (const Intake* in : appends)
      KVTOLL_CHECK(in->tensor->update(fresh(*in->values, work), work.n), "an append was refused");
  }
  if (quantizes.empty()) return;
  const trace::Span span({"cpu_quantize_flush", quantized, layer});
  std::vector<Result<bool>> stored(quantizes.size());
  pool_.for_each(static_cast<int64_t>(quantizes.size()), [&](int, int64_t i) {
    const Intake& in = *quantizes[static_cast<size_t>(i)];
    stored[static_cast<size_t>(i)] = in.tensor->update(fresh(*in.values, work), work.n);
  });
  flushed_ = true;
  for (const auto& result : stored)
    if (!result && !failure_) failure_ = result.error();
}

// The stored tokens of both tensors into fp32 scratch, [kv_head, tokens, dim] each.
void CpuBackend::dequantize(int layer, const SlotWork& work) {
  const ModelConfig& c = config();
  struct Head {
    const TensorCache* tensor;
    int head;
    float* out;
  };
  std::vector<Head> heads;
  Bytes declared{};
  for (const bool value : {false, true}) {
    const TensorCache* tensor =
        value ? &cache_->value(work.slot, layer) : &cache_->key(work.slot, layer);
    Decoded& copy = decoded(layer, work, value);
    const int64_t tokens = tensor->stored();
    if (tokens == 0 || (options_.keep_decoded && copy.version == tensor->store_version())) continue;
    copy.version = tensor->store_version();
    Buffer* read = &copy.values;
    read->resize(tokens * c.kv_width() * kActivation);
    declared += dequantize_bytes(tensor->store().payload_bytes() + tensor->store().scale_bytes(),
                                 tokens, c.kv_width());
    for (int h = 0; h < c.kv_heads; ++h)
      heads.push_back({tensor, h, read->as<float>() + h * tokens * c.head_dim});
  }
  if (heads.empty()) return;
  const trace::Span span({"cpu_dequantize", declared, layer});
  pool_.for_each(static_cast<int64_t>(heads.size()), [&](int, int64_t i) {
    const Head& h = heads[static_cast<size_t>(i)];
    const auto size = static_cast<size_t>(h.tensor->stored() * c.head_dim);
    h.tensor->store().decode_head(h.head, {h.out, size});
  });
}

// What attention sees of a tensor, in order of position; its store is in `read` already.
std::vector<KvSegment> CpuBackend::segments(const SlotWork& work, const TensorCache& tensor,
                                            const Buffer& values, const Buffer& read) const {
  const int64_t dim = config().head_dim, stored = tensor.stored();
  std::vector<KvSegment> result;
  if (stored > 0) result.push_back({read.as<float>(), DType::kF32, stored, stored * dim, dim});
  if (tensor.exact().tokens > 0) result.push_back(tensor.exact());
  if (tensor.length() == work.position)  // not taken in yet
    result.push_back({fresh(values, work).data(), DType::kF32, work.n, work.n * dim, dim});
  return result;
}

AttentionJob CpuBackend::attention_job(int layer, const SlotWork& work) {
  dequantize(layer, work);
  const int64_t at = work.row * config().q_width();
  return {q_.as<float>() + at, attended_.as<float>() + at, work.n,
          zip_segments(segments(work, cache_->key(work.slot, layer), k_new_,
                                decoded(layer, work, false).values),
                       segments(work, cache_->value(work.slot, layer), v_new_,
                                decoded(layer, work, true).values))};
}

void CpuBackend::attend_to(int layer, const std::vector<AttentionJob>& jobs) {
  const AttentionShape shape{config().heads, config().kv_heads, config().head_dim};
  const trace::Span span({"cpu_attention", attention_bytes(shape, jobs), layer});
  attend_jobs(shape, jobs, pool_, attention_space_);
}

// The quantized tensors that have not taken in the step's tokens.
std::vector<CpuBackend::Intake> CpuBackend::waiting_intakes(int layer, const SlotWork& work) {
  std::vector<Intake> waiting;
  for (const Intake& in : {Intake{&cache_->key(work.slot, layer), &k_new_},
                           Intake{&cache_->value(work.slot, layer), &v_new_}})
    if (in.tensor->quantized() && in.tensor->length() == work.position) waiting.push_back(in);
  return waiting;
}

void CpuBackend::attend(int layer) {
  std::vector<AttentionJob> jobs;  // all slots at once where nothing shares scratch
  for (const SlotWork& work : work_) {
    TensorCache &key = cache_->key(work.slot, layer), &value = cache_->value(work.slot, layer);
    const bool quantized = key.quantized() || value.quantized();
    if (quantized && options_.prefill == Prefill::kQuantized && work.position == 0)
      take_in(layer, work, waiting_intakes(layer, work));
    if (failure_) return;
    jobs.push_back(attention_job(layer, work));
    if (!quantized || options_.keep_decoded) continue;
    attend_to(layer, {jobs.back()});
    jobs.pop_back();
    take_in(layer, work, waiting_intakes(layer, work));
  }
  if (!jobs.empty()) attend_to(layer, jobs);
  for (const SlotWork& work : work_) {
    if (failure_) return;
    take_in(layer, work, waiting_intakes(layer, work));
  }
}

}  // namespace kvtoll::cpu
