// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// fp16 and bf16 as bit patterns, with conversions that round to nearest even exactly as the
// hardware and torch do. Use them where a rounding is part of a specification; bulk conversions for
// speed live in the backends.
#pragma once

#include <bit>
#include <cstdint>

#include "kvtoll/core/portable.h"

namespace kvtoll {

// IEEE binary16 from binary32: nearest even, overflow to infinity, subnormals kept, NaN quiet.
KVTOLL_HD constexpr uint16_t float_to_half_bits(float f) {
  const uint32_t x = std::bit_cast<uint32_t>(f);
  const uint32_t sign = (x >> 16) & 0x8000u;
  const uint32_t abs = x & 0x7fffffffu;
  if (abs > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (abs >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds to 2^16 or more
  if (abs < 0x33000001u) return static_cast<uint16_t>(sign);  // rounds to zero (2^-25 ties to even)
  const int exponent = static_cast<int>(abs >> 23);
  uint32_t mantissa = (abs & 0x7fffffu) | 0x800000u;
  const int shift = exponent >= 113 ? 13 : 126 - exponent;  // subnormals lose more bits
  const uint32_t base = exponent >= 113 ? static_cast<uint32_t>(exponent - 113) << 10 : 0u;
  const uint32_t rest = mantissa & ((1u << shift) - 1u);
  const uint32_t half = 1u << (shift - 1);
  mantissa >>= shift;
  if (rest > half || (rest == half && (mantissa & 1u))) ++mantissa;
  // A normal number's hidden bit adds one to the exponent field; a carry out of the mantissa does
  // the right thing.
  return static_cast<uint16_t>(sign | (base + mantissa));
}

KVTOLL_HD constexpr float half_bits_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000u) << 16;
  const uint32_t exponent = (h >> 10) & 0x1fu;
  uint32_t mantissa = h & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
  if (mantissa == 0) return std::bit_cast<float>(sign);
  int e = 113;
  while (!(mantissa & 0x400u)) mantissa <<= 1, --e;
  return std::bit_cast<float>(sign | (static_cast<uint32_t>(e) << 23) |
                              ((mantissa & 0x3ffu) << 13));
}

KVTOLL_HD constexpr uint16_t float_to_bfloat16_bits(float f) {
  const uint32_t x = std::bit_cast<uint32_t>(f);
  if ((x & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((x >> 16) | 0x40u);
  return static_cast<uint16_t>((x + 0x7fffu + ((x >> 16) & 1u)) >> 16);
}

KVTOLL_HD constexpr float bfloat16_bits_to_float(uint16_t b) {
  return std::bit_cast<float>(static_cast<uint32_t>(b) << 16);
}

// fl(): the nearest value of the type, as float.
KVTOLL_HD constexpr float round_to_half(float f) {
  return half_bits_to_float(float_to_half_bits(f));
}
KVTOLL_HD constexpr float round_to_bfloat16(float f) {
  return bfloat16_bits_to_float(float_to_bfloat16_bits(f));
}

}  // namespace kvtoll
