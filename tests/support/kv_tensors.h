// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Keys and values for tests: near-normal noise, Qwen-like channel outliers, constant groups; always
// exactly representable in the dtype.
#pragma once

#include <vector>

#include "kvtoll/core/rng.h"
#include "kvtoll/formats/codec.h"
#include "kvtoll/formats/rounding.h"

namespace kvtoll::test {

enum class KvData { kNormal, kOutliers, kConstant };

inline std::vector<float> kv_tensor(KvData kind, DType dtype, const KvShape& shape, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(static_cast<size_t>(shape.elements()));
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const int64_t d = i % shape.dim, t = i / shape.dim % shape.tokens;
    double value = 0.0;  // Irwin-Hall: variance 1
    for (int k = 0; k < 12; ++k) value += rng.uniform() - 0.5;
    if (kind == KvData::kOutliers) {
      value *= 1.3;
      if (d % 64 == 5) value += 400.0;
      if (d % 64 == 40) value -= 400.0;
    }
    if (kind == KvData::kConstant && t % 2 == 0) value = 0.7371;
    with_rounding(dtype, [&](auto fl) { x[i] = fl(static_cast<float>(value)); });
  }
  return x;
}

}  // namespace kvtoll::test
