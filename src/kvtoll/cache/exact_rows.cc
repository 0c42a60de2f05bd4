// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/cache/exact_rows.h"

#include <algorithm>
#include <cstring>

#include "kvtoll/core/check.h"
#include "kvtoll/core/half.h"

namespace kvtoll {
namespace {

void narrow(const float* x, int64_t n, DType dtype, std::byte* out) {
  if (dtype == DType::kF32) {
    std::memcpy(out, x, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  auto* bits = reinterpret_cast<uint16_t*>(out);
  if (dtype == DType::kF16) {
    for (int64_t i = 0; i < n; ++i) bits[i] = float_to_half_bits(x[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) bits[i] = float_to_bfloat16_bits(x[i]);
  }
}

}  // namespace

ExactRows::ExactRows(DType dtype, int kv_heads, int head_dim, int64_t capacity)
    : dtype_(dtype), kv_heads_(kv_heads), head_dim_(head_dim) {
  KVTOLL_CHECK(dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF32,
               "exact cache of {}", dtype_name(dtype));
  grow(std::max<int64_t>(1, capacity));
}

void ExactRows::grow(int64_t capacity) {
  std::unique_ptr<std::byte[]> wider(new std::byte[static_cast<size_t>(bytes_for(capacity))]);
  const int64_t row = static_cast<int64_t>(head_dim_) * dtype_size(dtype_);
  for (int h = 0; h < kv_heads_ && tokens_ > 0; ++h)
    std::memcpy(wider.get() + h * capacity * row, data_.get() + h * capacity_ * row,
                static_cast<size_t>(tokens_ * row));
  data_ = std::move(wider);
  capacity_ = capacity;
}

void ExactRows::append(std::span<const float> x, int64_t n) {
  KVTOLL_CHECK(static_cast<int64_t>(x.size()) == n * kv_heads_ * head_dim_,
               "append of {} values for {} tokens", x.size(), n);
  if (tokens_ + n > capacity_) grow(std::max(tokens_ + n, capacity_ + capacity_ / 2));
  for (int h = 0; h < kv_heads_; ++h)
    narrow(x.data() + h * n * head_dim_, n * head_dim_, dtype_,
           data_.get() + (h * capacity_ + tokens_) * head_dim_ * dtype_size(dtype_));
  tokens_ += n;
}

void ExactRows::rewind(int64_t tokens) {
  KVTOLL_CHECK(tokens >= 0 && tokens <= tokens_, "rewinding {} tokens to {}", tokens_, tokens);
  tokens_ = tokens;
}

KvSegment ExactRows::view() const {
  return {data_.get(), dtype_, tokens_, capacity_ * head_dim_, head_dim_};
}

void ExactRows::read_head(int kv_head, std::span<float> out) const {
  const TensorView all{view().row(kv_head, 0), dtype_, Shape{tokens_, head_dim_}};
  KVTOLL_CHECK(static_cast<int64_t>(out.size()) == all.shape.elements(), "read of {} values",
               out.size());
  for (int64_t i = 0; i < all.shape.elements(); ++i) out[i] = all.at(i);
}

}  // namespace kvtoll
