// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/rounding.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstring>

#include "kvtoll/core/check.h"

namespace kvtoll {
namespace {

KVTOLL_INLINE void widen_half(const uint8_t* __restrict from, int64_t n, float* __restrict out) {
  for (int64_t k = 0; k < n; ++k) {
    uint16_t bits;
    std::memcpy(&bits, from + 2 * k, 2);
    out[k] = half_to_float(bits);
  }
}

KVTOLL_INLINE void widen_bfloat16(const uint8_t* __restrict from, int64_t n,
                                  float* __restrict out) {
  for (int64_t k = 0; k < n; ++k) {
    uint16_t bits;
    std::memcpy(&bits, from + 2 * k, 2);
    out[k] = bfloat16_bits_to_float(bits);
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx,f16c"))) void round_half_f16c(float* y, int64_t n) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m128i half = _mm256_cvtps_ph(_mm256_loadu_ps(y + i), _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_ps(y + i, _mm256_cvtph_ps(half));
  }
  for (; i < n; ++i) y[i] = RoundF16{}(y[i]);
}
#endif

}  // namespace

void round_block(DType dtype, float* y, int64_t n) {
  if (dtype == DType::kF32) return;
#if defined(__x86_64__) && defined(__GNUC__)
  static const bool f16c = __builtin_cpu_supports("f16c");
  if (dtype == DType::kF16 && f16c) return round_half_f16c(y, n);
#endif
  run_simd([&]() __attribute__((always_inline)) {
    float* __restrict values = y;
    if (dtype == DType::kF16)
      for (int64_t i = 0; i < n; ++i) values[i] = RoundF16{}(values[i]);
    else
      for (int64_t i = 0; i < n; ++i) values[i] = RoundBF16{}(values[i]);
  });
}

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
  run_simd([&]() __attribute__((always_inline)) {
    if (dtype_ == DType::kF16)
      widen_half(from, n, out);
    else
      widen_bfloat16(from, n, out);
  });
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
