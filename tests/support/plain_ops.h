// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The network's operations as plain loops in double: what the CPU kernels are checked against.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kvtoll/core/rng.h"

namespace kvtoll::test {

using Doubles = std::vector<double>;

inline std::vector<float> random_floats(uint64_t seed, int64_t n, float size = 1.0f) {
  std::vector<float> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = size * random_symmetric(seed, 0, i);
  return x;
}

// [tokens, rows] = x [tokens, in] times w [rows, in], transposed.
inline Doubles plain_matmul(const std::vector<float>& w, const std::vector<float>& x, int64_t rows,
                            int64_t in, int64_t tokens) {
  Doubles y(static_cast<size_t>(tokens * rows));
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0.0;
      for (int64_t k = 0; k < in; ++k) sum += double{w[r * in + k]} * double{x[t * in + k]};
      y[t * rows + r] = sum;
    }
  return y;
}

inline Doubles plain_rms_norm(const std::vector<float>& x, const std::vector<float>& weight,
                              double eps) {
  double squares = 0.0;
  for (float v : x) squares += double{v} * double{v};
  const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  Doubles y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = double{x[i]} * inverse * double{weight[i]};
  return y;
}

// One query head over n positions; k and v are [n, dim].
inline Doubles plain_attention(const float* q, const float* k, const float* v, int64_t n,
                               int64_t dim) {
  Doubles weights(static_cast<size_t>(n)), out(static_cast<size_t>(dim), 0.0);
  double top = -1e300, total = 0.0;
  for (int64_t p = 0; p < n; ++p) {
    double dot = 0.0;
    for (int64_t d = 0; d < dim; ++d) dot += double{q[d]} * double{k[p * dim + d]};
    weights[p] = dot / std::sqrt(static_cast<double>(dim));
    top = std::max(top, weights[p]);
  }
  for (double& w : weights) total += w = std::exp(w - top);
  for (int64_t p = 0; p < n; ++p)
    for (int64_t d = 0; d < dim; ++d) out[d] += weights[p] / total * double{v[p * dim + d]};
  return out;
}

}  // namespace kvtoll::test
