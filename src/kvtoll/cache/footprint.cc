// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/cache/footprint.h"

#include <algorithm>

namespace kvtoll {

DType exact_dtype(const CacheSpec& spec, const KvFormat& format) {
  return format.quantized() ? spec.dtype : format.dtype;
}

int64_t exact_capacity(const CacheSpec& spec, const KvFormat& format) {
  if (!format.quantized()) return std::max<int64_t>(1, spec.max_tokens);
  // The token that completes the window goes straight into the store. A sequence that never fills
  // its window keeps at most max_tokens.
  const int64_t window = std::max(spec.residual_of(format), 2) - 1;
  return std::max<int64_t>(1, std::min(window, spec.max_tokens));
}

int64_t stored_tokens(int residual_length, int64_t prompt, int64_t length) {
  const int64_t period = std::max(residual_length, 2);
  return prompt + (length - prompt) / period * period;
}

Bytes materialize_bytes(const CacheSpec& spec, int64_t tokens) {
  const bool any = std::ranges::any_of(spec.layers, [](const KvPair& pair) {
    return pair.key.quantized() || pair.value.quantized();
  });
  return Bytes(any ? int64_t{2} * spec.kv_heads * tokens * spec.head_dim *
                         static_cast<int64_t>(sizeof(float))
                   : 0);
}

MemorySplit cache_footprint(const CacheSpec& spec, int64_t prompt, int64_t length) {
  MemorySplit split;
  for (const KvPair& pair : spec.layers)
    for (const KvFormat* format : {&pair.key, &pair.value}) {
      const Bytes exact(exact_capacity(spec, *format) * spec.kv_heads * spec.head_dim *
                        dtype_size(exact_dtype(spec, *format)));
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
