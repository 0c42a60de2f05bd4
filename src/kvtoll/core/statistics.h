// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Pure statistics: intervals, percentiles, line fits, proportions, paired tests. No I/O, no clocks.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace kvtoll {

struct Interval {
  double low = 0.0, high = 0.0;
};

struct Summary {
  double mean = 0.0, sd = 0.0;  // sample standard deviation (n - 1); 0 for fewer than two samples
  Interval ci95;                // Student's t of the mean
  int n = 0;
};
Summary summarize(std::span<const double> samples);

// p in [0, 100], linear interpolation between order statistics (type 7). Empty input gives NaN.
double percentile(std::vector<double> samples, double p);

// y = intercept + slope * x by least squares, with 95 % intervals of both.
struct LineFit {
  double intercept = 0.0, slope = 0.0;
  Interval intercept_ci95, slope_ci95;
  int n = 0;
};
LineFit fit_line(std::span<const double> x, std::span<const double> y);

// Wilson score interval of correct / total at 95 % (Wilson 1927).
Interval wilson95(int64_t correct, int64_t total);

// Exact two-sided McNemar test: b questions only A answered right, c only B. Returns p.
double mcnemar_exact(int64_t b, int64_t c);

// Percentile bootstrap of the mean of paired differences, 95 %.
Interval bootstrap_mean95(std::span<const double> differences, uint64_t seed,
                          int resamples = 10000);

// Two-sided 97.5 % quantile of Student's t with n degrees of freedom.
double student_t975(int degrees);

}  // namespace kvtoll
