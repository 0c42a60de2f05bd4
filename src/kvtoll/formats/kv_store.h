// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The quantized store of one tensor (keys or values) of one layer of one sequence, on the host: the
// oracle every other implementation is checked against. Values go in and come out as float that
// hold exactly representable fp16/bf16/fp32 values. Example: auto store = make_kv_store(format,
// DType::kF16, kv_heads, head_dim);  store->append(x, tokens);  store->decode(y);
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kvtoll/core/result.h"
#include "kvtoll/core/units.h"
#include "kvtoll/formats/kv_format.h"

namespace kvtoll {

class KvStore {
 public:
  virtual ~KvStore() = default;
  virtual int tokens() const = 0;  // stored tokens
  // True when tokens can be added without touching stored groups (quanto axis 0, HQQ axis 1).
  // Otherwise the cache decodes all, concatenates and calls replace(), as the real library does at
  // each flush.
  virtual bool append_only() const = 0;
  // x: [kv_head, n, dim], row-major. Errors: kUnsupported where the real library refuses the shape,
  // with its rule.
  virtual Result<void> append(std::span<const float> x, int n) = 0;
  virtual Result<void> replace(std::span<const float> x,
                               int n) = 0;  // the whole store becomes these n tokens
  // One head's stored tokens: out [tokens, dim].
  virtual void decode_head(int kv_head, std::span<float> out) const = 0;
  virtual void clear() = 0;
  virtual Bytes payload_bytes() const = 0;  // really allocated for `tokens()` tokens
  virtual Bytes scale_bytes() const = 0;    // scales, shifts, zeros
};

// dtype: the cache's dtype (fp16, bf16, fp32), in which scales are stored and every operation
// rounds.
std::unique_ptr<KvStore> make_kv_store(const KvFormat& format, DType dtype, int kv_heads,
                                       int head_dim);

// The same bytes as a pure function of shape: what `tokens` stored tokens of one tensor take.
struct StoreBytes {
  Bytes payload, scales;
};
StoreBytes kv_store_bytes(const KvFormat& format, DType dtype, int kv_heads, int head_dim,
                          int64_t tokens);

}  // namespace kvtoll
