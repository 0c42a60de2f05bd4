// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "kvtoll/core/check.h"
#include "kvtoll/core/rng.h"

namespace kvtoll {
namespace {

constexpr double kNormal975 = 1.959963984540054;

// P(|T| <= t) for Student's t with n degrees of freedom: the finite series for integer n
// (Abramowitz and Stegun 26.7.3 and 26.7.4).
double student_t_within(double t, int n) {
  const double theta = std::atan(t / std::sqrt(static_cast<double>(n)));
  const double cos2 = std::cos(theta) * std::cos(theta);
  const bool odd = n % 2 == 1;
  if (n == 1) return 2 * theta / std::numbers::pi;
  double term = odd ? std::cos(theta) : 1.0, sum = term;
  for (int k = odd ? 3 : 2; k <= n - 2; k += 2) {
    term *= cos2 * (k - 1) / k;
    sum += term;
  }
  sum *= std::sin(theta);
  return odd ? 2 / std::numbers::pi * (theta + sum) : sum;
}

double mean_of(std::span<const double> x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

}  // namespace

double student_t975(int degrees) {
  KVTOLL_CHECK(degrees >= 1, "Student's t needs at least 1 degree of freedom, got {}", degrees);
  if (degrees > 10000) {  // two terms of the expansion in 1/n: below 1e-9 from here on
    const double z = kNormal975, n = degrees;
    return z + (z * z * z + z) / (4 * n) +
           (5 * std::pow(z, 5) + 16 * z * z * z + 3 * z) / (96 * n * n);
  }
  double low = 1.9, high = 12.8;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (student_t_within(middle, degrees) < 0.95 ? low : high) = middle;
  }
  return (low + high) / 2;
}

Summary summarize(std::span<const double> samples) {
  Summary s;
  s.n = static_cast<int>(samples.size());
  if (samples.empty()) return s;
  s.mean = mean_of(samples);
  s.ci95 = {s.mean, s.mean};
  if (s.n < 2) return s;
  double squares = 0.0;
  for (double x : samples) squares += (x - s.mean) * (x - s.mean);
  s.sd = std::sqrt(squares / (s.n - 1));
  const double half = student_t975(s.n - 1) * s.sd / std::sqrt(static_cast<double>(s.n));
  s.ci95 = {s.mean - half, s.mean + half};
  return s;
}

double percentile(std::vector<double> samples, double p) {
  if (samples.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::sort(samples.begin(), samples.end());
  const double at = std::clamp(p, 0.0, 100.0) / 100.0 * static_cast<double>(samples.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, samples.size() - 1);
  return samples[below] + (at - static_cast<double>(below)) * (samples[above] - samples[below]);
}

LineFit fit_line(std::span<const double> x, std::span<const double> y) {
  KVTOLL_CHECK(x.size() == y.size(), "{} x values, {} y values", x.size(), y.size());
  LineFit fit;
  fit.n = static_cast<int>(x.size());
  if (x.empty()) return fit;
  const double n = fit.n, mx = mean_of(x), my = mean_of(y);
  double sxx = 0.0, sxy = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    sxx += (x[i] - mx) * (x[i] - mx);
    sxy += (x[i] - mx) * (y[i] - my);
  }
  fit.slope = sxx > 0 ? sxy / sxx : 0.0;
  fit.intercept = my - fit.slope * mx;
  double residual = 0.0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double e = y[i] - fit.intercept - fit.slope * x[i];
    residual += e * e;
  }
  const bool determined = fit.n > 2 && sxx > 0;
  const double t = determined ? student_t975(fit.n - 2) : 0.0;
  const double variance = determined ? residual / (n - 2) : 0.0;
  const double slope_half = determined ? t * std::sqrt(variance / sxx) : 0.0;
  const double intercept_half =
      determined ? t * std::sqrt(variance * (1 / n + mx * mx / sxx)) : 0.0;
  fit.slope_ci95 = {fit.slope - slope_half, fit.slope + slope_half};
  fit.intercept_ci95 = {fit.intercept - intercept_half, fit.intercept + intercept_half};
  return fit;
}

Interval wilson95(int64_t correct, int64_t total) {
  KVTOLL_CHECK(0 <= correct && correct <= total, "{} correct of {}", correct, total);
  if (total == 0) return {0.0, 1.0};
  const double n = static_cast<double>(total), p = static_cast<double>(correct) / n;
  const double z2 = kNormal975 * kNormal975;
  const double center = (p + z2 / (2 * n)) / (1 + z2 / n);
  const double half = kNormal975 / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return {correct == 0 ? 0.0 : center - half, correct == total ? 1.0 : center + half};
}

double mcnemar_exact(int64_t b, int64_t c) {
  KVTOLL_CHECK(b >= 0 && c >= 0, "counts {} and {}", b, c);
  const auto n = static_cast<double>(b + c);
  // Twice the smaller tail of Binomial(n, 1/2); in logarithms, since 2^-n underflows at n = 1075.
  double tail = 0.0;
  for (int64_t i = 0; i <= std::min(b, c); ++i) {
    const auto k = static_cast<double>(i);
    tail += std::exp(std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1) -
                     n * std::numbers::ln2);
  }
  return std::min(1.0, 2 * tail);
}

Interval bootstrap_mean95(std::span<const double> differences, uint64_t seed, int resamples) {
  KVTOLL_CHECK(resamples > 0, "{} resamples", resamples);
  if (differences.empty()) return {};
  Rng rng(seed);
  const size_t n = differences.size();
  std::vector<double> means(static_cast<size_t>(resamples));
  for (double& m : means) {
    double sum = 0.0;
    for (size_t i = 0; i < n; ++i) sum += differences[rng.below(n)];
    m = sum / static_cast<double>(n);
  }
  return {percentile(means, 2.5), percentile(means, 97.5)};
}

}  // namespace kvtoll
