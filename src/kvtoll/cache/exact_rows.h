// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A growing block of exact keys or values of one sequence, [kv_head, capacity, dim] in fp16, bf16
// or fp32: the whole of an exact cache, or the residual window of a quantized one. Example:
// ExactRows rows(DType::kF16, 4, 128, 2048);  rows.append(x, n);  rows.view().data
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "kvtoll/core/dtype.h"
#include "kvtoll/core/units.h"

namespace kvtoll {

// Where attention finds a run of positions of one tensor. Strides count elements.
struct KvSegment {
  const void* data = nullptr;  // [kv_head, tokens, dim] with the strides below
  DType dtype = DType::kF16;
  int64_t tokens = 0;
  int64_t head_stride = 0;  // between kv heads
  int64_t row_stride = 0;   // between positions of one head

  const void* row(int kv_head, int64_t token) const {
    return static_cast<const char*>(data) +
           (kv_head * head_stride + token * row_stride) * dtype_size(dtype);
  }
};

class ExactRows {
 public:
  ExactRows(DType dtype, int kv_heads, int head_dim, int64_t capacity);

  int64_t tokens() const { return tokens_; }
  Bytes allocated() const { return Bytes(bytes_for(capacity_)); }
  // x: [kv_head, n, dim]; rounds to the dtype. Grows when the capacity does not suffice.
  void append(std::span<const float> x, int64_t n);
  void clear() { tokens_ = 0; }
  void rewind(int64_t tokens);  // keeps the first `tokens`
  KvSegment view() const;
  // The first `tokens()` positions of a head as float, out [tokens, dim].
  void read_head(int kv_head, std::span<float> out) const;

 private:
  int64_t bytes_for(int64_t capacity) const {
    return capacity * kv_heads_ * head_dim_ * dtype_size(dtype_);
  }
  void grow(int64_t capacity);

  DType dtype_;
  int kv_heads_, head_dim_;
  int64_t capacity_ = 0, tokens_ = 0;
  std::unique_ptr<std::byte[]> data_;  // [kv_head, capacity, dim]
};

}  // namespace kvtoll
