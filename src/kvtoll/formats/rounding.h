// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// fl(): the rounding of a cache dtype as a branch-free function on float, so that loops over it
// become SIMD; equal to core/half.h on every float (tests/formats/rounding_test.cc). run_simd()
// compiles a loop for AVX2 as well and takes that version where the machine has it.
// Example: with_rounding(dtype, [&](auto fl) { y = fl(fl(s * q) - shift); });
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

#include "kvtoll/core/dtype.h"
#include "kvtoll/core/half.h"

#define KVTOLL_INLINE inline __attribute__((always_inline))

namespace kvtoll {

struct RoundF16 {
  static constexpr DType kType = DType::kF16;
  KVTOLL_INLINE float operator()(float x) const {
    const int32_t bits = std::bit_cast<int32_t>(x);
    const int32_t abs = bits & 0x7fffffff;
    // Normal numbers lose 13 bits, nearest even. Below 2^-14 the spacing is 2^-24, which is that of
    // floats in [0.5, 1): adding and subtracting 0.5 rounds.
    const uint32_t magnitude = static_cast<uint32_t>(abs);
    const int32_t normal =
        static_cast<int32_t>((magnitude + 0xfffu + ((magnitude >> 13) & 1u)) & ~0x1fffu);
    const int32_t tiny = std::bit_cast<int32_t>((std::bit_cast<float>(abs) + 0.5f) - 0.5f);
    int32_t result = abs < 0x38800000 ? tiny : normal;
    result = result >= 0x47800000 ? 0x7f800000 : result;  // 65520 and above: infinity
    result = abs > 0x7f800000 ? 0x7fc00000 : result;
    return std::bit_cast<float>(result | (bits & static_cast<int32_t>(0x80000000u)));
  }
};

struct RoundBF16 {
  static constexpr DType kType = DType::kBF16;
  KVTOLL_INLINE float operator()(float x) const {
    const uint32_t bits = std::bit_cast<uint32_t>(x);
    const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;
    const bool nan = static_cast<int32_t>(bits & 0x7fffffffu) > 0x7f800000;
    return std::bit_cast<float>(nan ? 0x7fc00000u : rounded);
  }
};

struct RoundF32 {
  static constexpr DType kType = DType::kF32;
  KVTOLL_INLINE float operator()(float x) const { return x; }
};

// fp16 bits to float without branches: the exponent is rebased by a multiplication, which is exact
// and gets subnormals right.
KVTOLL_INLINE float half_to_float(uint16_t h) {
  const int32_t magnitude = (h & 0x7fff) << 13;
  const float rebased = std::bit_cast<float>(magnitude) * 0x1p112f;
  const int32_t bits =
      magnitude >= 0x0f800000 ? (magnitude | 0x7f800000) : std::bit_cast<int32_t>(rebased);
  return std::bit_cast<float>(bits | static_cast<int32_t>((h & 0x8000u) << 16));
}

// Calls f with the rounding of `dtype` (fp16, bf16 or fp32).
template <class F>
decltype(auto) with_rounding(DType dtype, F&& f) {
  if (dtype == DType::kF16) return f(RoundF16{});
  if (dtype == DType::kBF16) return f(RoundBF16{});
  return f(RoundF32{});
}

// Nearest integer, ties to even, for |x| < 2^22 (1.5 * 2^23 has spacing 1); NaN stays NaN.
KVTOLL_INLINE float rint_small(float x) { return (x + 12582912.0f) - 12582912.0f; }

// min(max(x, 0), high) that keeps NaN, as torch.clamp does.
KVTOLL_INLINE float clamp_levels(float x, float high) {
  return x < 0.0f ? 0.0f : (x > high ? high : x);
}

#if defined(__x86_64__) && defined(__GNUC__)
template <class F>
__attribute__((target("avx2"))) void run_avx2(const F& f) {
  f();
}
// f: a lambda marked always_inline.
template <class F>
void run_simd(const F& f) {
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx2) return run_avx2(f);
  f();
}
#else
template <class F>
void run_simd(const F& f) {
  f();
}
#endif

// y[i] = fl(y[i]) for a block that lies in L1; fp16 through F16C where the machine has it.
void round_block(DType dtype, float* y, int64_t n);

// An array of numbers of a cache dtype: scales, shifts, zeros, exact values.
class FloatArray {
 public:
  explicit FloatArray(DType dtype) : dtype_(dtype), size_of_(dtype_size(dtype)) {}

  int64_t size() const { return static_cast<int64_t>(bytes_.size()) / size_of_; }
  int64_t bytes() const { return static_cast<int64_t>(bytes_.capacity()); }
  const uint8_t* data() const { return bytes_.data(); }
  DType dtype() const { return dtype_; }

  float get(int64_t i) const;
  // Values i .. i + n - 1.
  void get(int64_t i, int64_t n, float* out) const;
  void set(int64_t i, const float* values, int64_t n);
  // Exactly this size: what `bytes()` says is what the formula of the footprint says.
  void resize(int64_t n);

 private:
  DType dtype_;
  int size_of_;
  std::vector<uint8_t> bytes_;
};

// Resizes so that capacity equals size.
void resize_exact(std::vector<uint8_t>& bytes, size_t n);

}  // namespace kvtoll
