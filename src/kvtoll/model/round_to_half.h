// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// float_to_half_bits of core/half.h without branches, for loops over whole tensors while loading:
// the compiler makes vector code of it. Equal on all 2^32 inputs. Example: bits[i] =
// fast_half_bits(values[i]);
#pragma once

#include <bit>
#include <cstdint>

namespace kvtoll {

inline uint16_t fast_half_bits(float f) {
  const uint32_t x = std::bit_cast<uint32_t>(f), a = x & 0x7fffffffu;
  const uint32_t normal = (a + 0xc8000fffu + ((a >> 13) & 1u)) >> 13;
  // Adding one half puts a subnormal result's bits at the end of the mantissa, rounded.
  const uint32_t small = std::bit_cast<uint32_t>(std::bit_cast<float>(a) + 0.5f) - 0x3f000000u;
  uint32_t bits = a < 0x38800000u ? small : normal;
  bits = a >= 0x477ff000u ? 0x7c00u : bits;
  bits = a > 0x7f800000u ? 0x7e00u : bits;
  return static_cast<uint16_t>(bits | ((x >> 16) & 0x8000u));
}

}  // namespace kvtoll
