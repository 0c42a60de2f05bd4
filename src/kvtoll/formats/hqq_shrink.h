// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The shrinking operator of HQQ's solver, one source for host and device. The power is computed
// from IEEE additions, products and quotients alone, none of them contracted, so that every machine
// gives the same bits and none depends on its libm. Example: hqq_shrink(RoundF16{}, e).
#pragma once

#include <cmath>
#include <limits>

#include "kvtoll/core/portable.h"

namespace kvtoll {

// Below this |e| the operator gives 0: 0.1 * 0.16^-0.3 = 0.173 > 0.16.
inline constexpr float kHqqShrinkFrom = 0.16f;

namespace detail {

// nvcc contracts a * b + c into an FMA unless told otherwise; cmake/Rooms.cmake tells the host's
// compiler.
KVTOLL_HD inline double product(double a, double b) {
#ifdef __CUDA_ARCH__
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}
KVTOLL_HD inline float product(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}
KVTOLL_HD inline double times_plus(double a, double b, double c) { return product(a, b) + c; }

// a^p as 2^(p log2 a) for positive finite normal a and |p| < 1, p a float. Rounded to float it is
// the correctly rounded power for p = -0.3f and every float from 0.16 on.
KVTOLL_HD inline double power(float a, double p) {
  // log m = 2 (f + f^3/3 + f^5/5 ...), f = (m - 1) / (m + 1), |f| < 0.172; e^y = 1 + y + y^2/2! ...
  constexpr double kLog[] = {1.0 / 23, 1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                             1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
  constexpr double kExp[] = {1.0 / 87178291200, 1.0 / 6227020800,
                             1.0 / 479001600,   1.0 / 39916800,
                             1.0 / 3628800,     1.0 / 362880,
                             1.0 / 40320,       1.0 / 5040,
                             1.0 / 720,         1.0 / 120,
                             1.0 / 24,          1.0 / 6,
                             1.0 / 2,           1.0};
  constexpr double kLn2 = 0.6931471805599453, kTwoOverLn2 = 2.8853900817779268;
  int exponent = 0;
  double m = frexp(static_cast<double>(a), &exponent);
  if (m < 0.7071067811865476) m *= 2.0, --exponent;
  const double f = (m - 1.0) / (m + 1.0), f2 = product(f, f);
  double log_tail = 0.0, exp_tail = 0.0;
  for (double c : kLog) log_tail = times_plus(log_tail, f2, c);
  const double half_log = times_plus(f, product(log_tail, f2), f);
  const double small = product(half_log, product(kTwoOverLn2, p));
  const double large = product(p, exponent);  // exact: 24 bits times 8
  const double n = rint(large + small);
  const double y = product((large - n) + small, kLn2);
  for (double c : kExp) exp_tail = times_plus(exp_tail, y, c);
  return ldexp(times_plus(exp_tail, y, 1.0), static_cast<int>(n));
}

}  // namespace detail

// sign(e) * max(|e| - 0.1 |e|^p, 0), p = fl(-0.3), each step rounded by fl; infinity and NaN stay.
template <class Round>
KVTOLL_HD float hqq_shrink(Round fl, float e) {
  const float a = fabsf(e);
  if (a < kHqqShrinkFrom) return 0.0f;
  if (!(a <= std::numeric_limits<float>::max())) return e;
  const float power = fl(static_cast<float>(detail::power(a, fl(-0.3f))));
  const float shrunk = fl(a - fl(detail::product(0.1f, power)));
  const float positive = shrunk < 0.0f ? 0.0f : shrunk;
  return e < 0.0f ? -positive : positive;
}

}  // namespace kvtoll
