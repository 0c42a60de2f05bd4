// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/rounding.h"

#include <algorithm>
#include <cstring>

#include "kvtoll/core/check.h"

namespace kvtoll {

float FloatArray::get(int64_t i) const {
  float value = 0.0f;
  get(i, 1, &value);
  return value;
}

void FloatArray::get(int64_t i, int64_t n, float* out) const {
  KVTOLL_CHECK(i >= 0 && n >= 0 && i + n <= size(), "{} + {} of {}", i, n, size());
  if (n == 0) return;
  const uint8_t* from = bytes_.data() + i * size_of_;
  if (dtype_ == DType::kF32) {
    std::memcpy(out, from, static_cast<size_t>(n) * 4);
    return;
  }
  for (int64_t k = 0; k < n; ++k) {
    uint16_t bits;
    std::memcpy(&bits, from + 2 * k, 2);
    out[k] = dtype_ == DType::kF16 ? half_bits_to_float(bits) : bfloat16_bits_to_float(bits);
  }
}

void FloatArray::set(int64_t i, const float* values, int64_t n) {
  KVTOLL_CHECK(i >= 0 && n >= 0 && i + n <= size(), "{} + {} of {}", i, n, size());
  if (n == 0) return;
  uint8_t* to = bytes_.data() + i * size_of_;
  if (dtype_ == DType::kF32) {
    std::memcpy(to, values, static_cast<size_t>(n) * 4);
    return;
  }
  for (int64_t k = 0; k < n; ++k) {
    const uint16_t bits =
        dtype_ == DType::kF16 ? float_to_half_bits(values[k]) : float_to_bfloat16_bits(values[k]);
    std::memcpy(to + 2 * k, &bits, 2);
  }
}

void FloatArray::resize(int64_t n) { resize_exact(bytes_, static_cast<size_t>(n * size_of_)); }

void resize_exact(std::vector<uint8_t>& bytes, size_t n) {
  if (bytes.capacity() == n) {
    bytes.resize(n);
    return;
  }
  std::vector<uint8_t> moved;
  moved.reserve(n);
  moved.assign(bytes.begin(), bytes.begin() + static_cast<int64_t>(std::min(n, bytes.size())));
  moved.resize(n);
  bytes.swap(moved);
}

}  // namespace kvtoll
