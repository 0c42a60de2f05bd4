// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/round_to_half.h"

#include <gtest/gtest.h>

#include "kvtoll/core/half.h"

namespace kvtoll {
namespace {

// Around every value that fp16 has, and its midpoints; and a stride through all inputs.
TEST(RoundToHalf, EqualsTheSpecification) {
  const auto check = [](uint32_t bits) {
    const float f = std::bit_cast<float>(bits);
    ASSERT_EQ(fast_half_bits(f), float_to_half_bits(f)) << std::hex << bits;
  };
  for (uint32_t half = 0; half < 0x10000; ++half) {
    const uint32_t bits = std::bit_cast<uint32_t>(half_bits_to_float(static_cast<uint16_t>(half)));
    for (uint32_t away : {0u, 1u, 0xfffu, 0x1000u, 0x1001u, 0x1fffu}) {
      check(bits + away);
      check(bits - away);
    }
  }
  for (uint64_t bits = 0; bits < (1ull << 32); bits += 4099) check(static_cast<uint32_t>(bits));
}

}  // namespace
}  // namespace kvtoll
