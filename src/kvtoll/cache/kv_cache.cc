// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/cache/kv_cache.h"

#include <algorithm>

#include "kvtoll/core/check.h"

namespace kvtoll {

TensorCache::TensorCache(const CacheSpec& spec, const KvFormat& format)
    : format_(format),
      rule_(spec.flush),
      kv_heads_(spec.kv_heads),
      head_dim_(spec.head_dim),
      schedule_(spec.residual_of(format)),
      store_(format.quantized() ? make_kv_store(format, spec.dtype, spec.kv_heads, spec.head_dim)
                                : nullptr),
      rows_(spec.exact_dtype(format), spec.kv_heads, spec.head_dim, spec.exact_capacity(format)) {}

Result<bool> TensorCache::update(std::span<const float> x, int64_t n) {
  KVTOLL_CHECK(static_cast<int64_t>(x.size()) == n * kv_heads_ * head_dim_,
               "update with {} values for {} tokens", x.size(), n);
  if (!quantized()) {
    rows_.append(x, n);
    return false;
  }
  if (schedule_.empty()) {  // the prompt goes into the store whole, whatever the residual length
    ++store_version_;
    KVTOLL_TRY_VOID(store_->replace(x, static_cast<int>(n)));
    schedule_.prefill(n);
    return true;
  }
  if (!schedule_.next_flushes()) {
    rows_.append(x, n);
    schedule_.update(n);
    return false;
  }
  ++store_version_;
  KVTOLL_TRY_VOID(flush(x, n));
  schedule_.update(n);
  rows_.clear();
  return true;
}

Result<void> TensorCache::flush(std::span<const float> x, int64_t n) {
  if (rule_ == FlushRule::kRequantizeAll || !store_->append_only()) {
    const std::vector<float> all = visible(x, n);
    return store_->replace(all, static_cast<int>(length() + n));
  }
  const int64_t held = rows_.tokens(), together = held + n;
  std::vector<float> joined(static_cast<size_t>(together * kv_heads_ * head_dim_));
  for (int h = 0; h < kv_heads_; ++h) {
    float* out = joined.data() + h * together * head_dim_;
    rows_.read_head(h, {out, static_cast<size_t>(held * head_dim_)});
    std::copy_n(x.data() + h * n * head_dim_, n * head_dim_, out + held * head_dim_);
  }
  return store_->append(joined, static_cast<int>(together));
}

std::vector<float> TensorCache::visible(std::span<const float> x, int64_t n) const {
  const int64_t kept = rows_.tokens(), all = stored() + kept + n;
  std::vector<float> result(static_cast<size_t>(all * kv_heads_ * head_dim_));
  for (int h = 0; h < kv_heads_; ++h) {
    float* out = result.data() + h * all * head_dim_;
    if (stored() > 0) store_->decode_head(h, {out, static_cast<size_t>(stored() * head_dim_)});
    out += stored() * head_dim_;
    rows_.read_head(h, {out, static_cast<size_t>(kept * head_dim_)});
    std::copy_n(x.data() + h * n * head_dim_, n * head_dim_, out + kept * head_dim_);
  }
  return result;
}

void TensorCache::clear() {
  if (store_) store_->clear();
  rows_.clear();
  schedule_.clear();
  ++store_version_;
}

void TensorCache::rewind(int64_t length) {
  KVTOLL_CHECK(!quantized(), "rewinding a {} cache", format_.to_string());
  rows_.rewind(length);
}

Bytes TensorCache::payload_bytes() const {
  return quantized() ? store_->payload_bytes() : rows_.allocated();
}
Bytes TensorCache::scale_bytes() const { return quantized() ? store_->scale_bytes() : Bytes(0); }
Bytes TensorCache::residual_bytes() const { return quantized() ? rows_.allocated() : Bytes(0); }

KvCache::KvCache(const CacheSpec& spec) {
  slots_.resize(static_cast<size_t>(spec.slots));
  for (auto& layers : slots_)
    for (const KvPair& pair : spec.layers)
      layers.push_back({TensorCache(spec, pair.key), TensorCache(spec, pair.value)});
}

bool KvCache::next_flushes(int slot) const {
  return std::ranges::any_of(slots_[static_cast<size_t>(slot)], [](const LayerCache& layer) {
    return layer.key.next_flushes() || layer.value.next_flushes();
  });
}

bool KvCache::any_quantized() const {
  return std::ranges::any_of(slots_.front(), [](const LayerCache& layer) {
    return layer.key.quantized() || layer.value.quantized();
  });
}

void KvCache::clear(int slot) {
  for (LayerCache& layer : slots_[static_cast<size_t>(slot)]) {
    layer.key.clear();
    layer.value.clear();
  }
}

void KvCache::rewind(int slot, int64_t length) {
  for (LayerCache& layer : slots_[static_cast<size_t>(slot)]) {
    layer.key.rewind(length);
    layer.value.rewind(length);
  }
}

MemorySplit KvCache::memory() const {
  MemorySplit split;
  for (const auto& layers : slots_)
    for (const LayerCache& layer : layers)
      for (const TensorCache* tensor : {&layer.key, &layer.value}) {
        split[MemoryTag::kKvPayload] += tensor->payload_bytes();
        split[MemoryTag::kKvScales] += tensor->scale_bytes();
        split[MemoryTag::kKvResidual] += tensor->residual_bytes();
      }
  return split;
}

}  // namespace kvtoll
