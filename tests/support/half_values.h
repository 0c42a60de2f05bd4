// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// 16-bit values of tests against sums in double. Example: half_value(p.dtype, p.q[i]).
#pragma once

#include <cstdint>

#include "kvtoll/core/dtype.h"
#include "kvtoll/core/half.h"

namespace kvtoll::test {

// dtype: fp16, or bf16 for any other.
inline uint16_t half_bits(DType dtype, float v) {
  return dtype == DType::kF16 ? float_to_half_bits(v) : float_to_bfloat16_bits(v);
}
inline float half_value(DType dtype, uint16_t bits) {
  return dtype == DType::kF16 ? half_bits_to_float(bits) : bfloat16_bits_to_float(bits);
}

}  // namespace kvtoll::test
