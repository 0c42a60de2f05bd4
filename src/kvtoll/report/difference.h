// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Is B different from A, or is it noise? Differences with 95 % intervals: paired by round when both
// were measured in turn, so that drift of the machine cancels; Welch's interval otherwise. Inside
// the interval of zero it is "no difference". Example:
//   difference_text(throughput_difference(fp16, int4))  ->  "-3 % ± 5 %: no difference"
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kvtoll/core/statistics.h"
#include "kvtoll/report/record.h"

namespace kvtoll::report {

struct Difference {
  double value = 0.0;  // B - A, in the unit of the call
  Interval ci95;
  int n = 0;  // pairs, or samples of the smaller side
  bool paired = false;

  bool known() const { return n >= 2; }  // one sample has no spread
  bool significant() const { return known() && (ci95.low > 0.0 || ci95.high < 0.0); }
  double half_width() const { return (ci95.high - ci95.low) / 2; }
};

// Mean of b[i] - a[i] with Student's t. Sizes must be equal.
Difference paired_difference(std::span<const double> a, std::span<const double> b);
// Difference of means with Welch's unequal-variance interval (Welch 1947).
Difference welch_difference(std::span<const double> a, std::span<const double> b);

bool are_paired(const RunRecord& a, const RunRecord& b);  // same block, same rounds

// Speed of B against A in percent of A. Ratios are averaged as logarithms.
Difference throughput_difference(const RunRecord& a, const RunRecord& b);
// The same over many pairs of records (one format at all lengths): each round of each pair counts.
Difference throughput_difference(std::span<const std::pair<const RunRecord*, const RunRecord*>> ab);

// One category's time per decode step in nanoseconds, window by window of the traced pass.
struct CategoryDifference {
  std::string category;
  double a_ns = 0.0, b_ns = 0.0;  // per step
  Difference difference;          // ns per step
};
// The eight categories, idle, and as last "busy" (all kernels together). Empty without traces.
std::vector<CategoryDifference> category_differences(const RunRecord& a, const RunRecord& b);

// What B's quantization costs each step: kernels of its own, and by difference to A (busy time of B
// less A's), which also sees what is fused into other kernels.
struct Attribution {
  double own_kernels_ns = 0.0;  // category dequantization of B
  Difference by_difference;     // ns per step
};
Attribution attribute_dequantization(const std::vector<CategoryDifference>& categories);

// "+12 % ± 3 %", "-3 % ± 5 %: no difference", "-3 % (one run: spread unknown)".
std::string percent_text(const Difference& difference);

}  // namespace kvtoll::report
