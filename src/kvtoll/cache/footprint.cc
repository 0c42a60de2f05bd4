// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/cache/footprint.h"

#include <algorithm>

#include "kvtoll/formats/kv_store.h"

namespace kvtoll {

int64_t stored_tokens(int residual_length, int64_t prompt, int64_t length) {
  const int64_t period = std::max(residual_length, 2);
  return prompt + (length - prompt) / period * period;
}

Bytes materialize_bytes(const CacheSpec& spec, int64_t tokens) {
  const bool any = std::ranges::any_of(spec.layers, &KvPair::quantized);
  return Bytes(any ? int64_t{2} * spec.kv_heads * tokens * spec.head_dim *
                         static_cast<int64_t>(sizeof(float))
                   : 0);
}

MemorySplit cache_footprint(const CacheSpec& spec, int64_t prompt, int64_t length) {
  MemorySplit split;
  for (const KvPair& pair : spec.layers)
    for (const KvFormat* format : {&pair.key, &pair.value}) {
      const Bytes exact(spec.exact_capacity(*format) * spec.kv_heads * spec.head_dim *
                        dtype_size(spec.exact_dtype(*format)));
      if (!format->quantized()) {
        split[MemoryTag::kKvPayload] += exact * spec.slots;
        continue;
      }
      const StoreBytes store =
          kv_store_bytes(*format, spec.dtype, spec.kv_heads, spec.head_dim,
                         stored_tokens(spec.residual_of(*format), prompt, length));
      split[MemoryTag::kKvPayload] += store.payload * spec.slots;
      split[MemoryTag::kKvScales] += store.scales * spec.slots;
      split[MemoryTag::kKvResidual] += exact * spec.slots;
    }
  split[MemoryTag::kWorkspace] = materialize_bytes(spec, spec.max_tokens);
  return split;
}

}  // namespace kvtoll
