// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Where keys and values live, when they are flushed, and what attention sees: the cache state
// machine of cache/schedule.h with its bytes. One TensorCache per slot, layer and tensor (K or V),
// because formats and residual lengths may differ. A step: attention reads store(), exact() and the
// new tokens; then update() takes the new tokens in (for exact formats it may come first).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kvtoll/cache/cache_spec.h"
#include "kvtoll/cache/exact_rows.h"
#include "kvtoll/cache/schedule.h"
#include "kvtoll/core/memory_tag.h"
#include "kvtoll/core/result.h"
#include "kvtoll/formats/kv_format.h"
#include "kvtoll/formats/kv_store.h"

namespace kvtoll {

class TensorCache {
 public:
  TensorCache(const CacheSpec& spec, const KvFormat& format);

  const KvFormat& format() const { return format_; }
  bool quantized() const { return store_ != nullptr; }
  int64_t length() const { return quantized() ? schedule_.length() : rows_.tokens(); }
  bool next_flushes() const { return quantized() && schedule_.next_flushes(); }

  // Positions [0, stored()) must be dequantized from store(); exact() holds the rest.
  int64_t stored() const { return quantized() ? schedule_.stored() : 0; }
  const KvStore& store() const { return *store_; }
  // Changes whenever the stored tokens do: a decoded copy is good for as long as it stays.
  int64_t store_version() const { return store_version_; }
  KvSegment exact() const { return rows_.view(); }

  // x: [kv_head, n, dim], values of the cache dtype; the first call of a sequence is its prompt.
  // Returns true when tokens went into the quantized store (the prompt, a flush). Errors:
  // kUnsupported where the real library refuses the shape.
  Result<bool> update(std::span<const float> x, int64_t n);
  // What attention receives on an update with x, [kv_head, length() + n, dim]: the stored tokens
  // dequantized, the residual, then x. Plain form of the rule, for tests; backends read in place.
  std::vector<float> visible(std::span<const float> x, int64_t n) const;

  void clear();
  void rewind(int64_t length);  // exact formats: forgets the positions from `length` on
  Bytes payload_bytes() const;  // exact formats: the allocated capacity
  Bytes scale_bytes() const;
  Bytes residual_bytes() const;

 private:
  Result<void> flush(std::span<const float> x, int64_t n);

  KvFormat format_;
  FlushRule rule_;
  int kv_heads_, head_dim_;
  CacheSchedule schedule_;
  int64_t store_version_ = 0;
  std::unique_ptr<KvStore> store_;  // null for exact formats
  ExactRows rows_;                  // exact formats: all tokens; quantized: the residual window
};

class KvCache {
 public:
  explicit KvCache(const CacheSpec& spec);

  TensorCache& key(int slot, int layer) { return at(slot, layer).key; }
  TensorCache& value(int slot, int layer) { return at(slot, layer).value; }
  int64_t length(int slot) const { return slots_[static_cast<size_t>(slot)].front().key.length(); }
  // Would a step of one token flush any tensor of the slot?
  bool next_flushes(int slot) const;
  bool any_quantized() const;
  void clear(int slot);
  void rewind(int slot, int64_t length);  // exact formats only
  MemorySplit memory() const;             // payload, scales, residual as allocated now

 private:
  struct LayerCache {
    TensorCache key, value;
  };
  LayerCache& at(int slot, int layer) {
    return slots_[static_cast<size_t>(slot)][static_cast<size_t>(layer)];
  }
  std::vector<std::vector<LayerCache>> slots_;  // [slot][layer]
};

}  // namespace kvtoll
