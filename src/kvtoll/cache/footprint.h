// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How many bytes a cache takes, as a pure function of its specification and length: no allocation,
// no device. Tests hold it equal to what KvCache really allocates. Example:
// cache_footprint(spec, 128, 2176).kv()
#pragma once

#include <cstdint>

#include "kvtoll/cache/cache_spec.h"
#include "kvtoll/core/memory_tag.h"

namespace kvtoll {

// Bytes of payload, scales, residual and workspace for `spec.slots` sequences of `length` tokens,
// of which `prompt` came in the first call and the others one by one. Exact tensors and residual
// windows count their capacity (max_tokens; max(residual_length, 2) - 1 tokens), as they are
// allocated at once; stores count the tokens that they hold. Workspace: see materialize_bytes.
MemorySplit cache_footprint(const CacheSpec& spec, int64_t prompt, int64_t length);

// The host's scratch for dequantized tokens: K and V of one layer of one slot as fp32,
// [2, kv_head, tokens, dim]; zero when nothing is quantized.
Bytes materialize_bytes(const CacheSpec& spec, int64_t tokens);

// Tokens in the quantized store after a prompt and one-token updates up to `length`.
int64_t stored_tokens(int residual_length, int64_t prompt, int64_t length);

}  // namespace kvtoll
