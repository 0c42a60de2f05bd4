// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What a cache is made of: formats, shapes and rules. Input of KvCache (which allocates it) and of
// cache_footprint (which only counts). Example: CacheSpec{.layers = policy.resolve(28).value(),
// .kv_heads = 4, .head_dim = 128, .max_tokens = 2176}
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtoll/cache/schedule.h"
#include "kvtoll/core/dtype.h"
#include "kvtoll/formats/kv_format.h"

namespace kvtoll {

struct CacheSpec {
  std::vector<KvPair> layers;  // one entry per layer
  DType dtype = DType::kF16;   // of scales and of the residual of quantized formats
  int residual_length = 128;   // where the format does not say
  FlushRule flush = FlushRule::kAppend;
  int kv_heads = 0, head_dim = 0;
  int slots = 1;
  int64_t max_tokens = 0;  // per slot; what an exact tensor allocates

  int residual_of(const KvFormat& format) const {
    return format.residual.value_or(residual_length);
  }
  // The exact part of a tensor: its dtype, and the tokens that it has room for from the start. The
  // token that completes a residual window goes straight into the store; a sequence that never
  // fills its window keeps at most max_tokens.
  DType exact_dtype(const KvFormat& format) const {
    return format.quantized() ? dtype : format.dtype;
  }
  int64_t exact_capacity(const KvFormat& format) const {
    const int64_t window = std::max(residual_of(format), 2) - 1;
    const int64_t tokens = format.quantized() ? std::min(window, max_tokens) : max_tokens;
    return std::max<int64_t>(1, tokens);
  }
};

}  // namespace kvtoll
