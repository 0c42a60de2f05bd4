// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/difference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kvtoll/core/check.h"

namespace kvtoll::report {
namespace {

std::vector<double> logs(const Distribution& d) {
  std::vector<double> out;
  for (const double x : d.samples) out.push_back(std::log(x));
  return out;
}

// Logarithm of a ratio -> percent.
double to_percent(double log_ratio) { return 100.0 * std::expm1(log_ratio); }
Difference to_percent(Difference d) {
  d.value = to_percent(d.value);
  d.ci95 = {to_percent(d.ci95.low), to_percent(d.ci95.high)};
  return d;
}

bool same_windows(const RunRecord& a, const RunRecord& b) {
  return std::ranges::equal(a.trace, b.trace, [](const TraceWindow& x, const TraceWindow& y) {
    return x.at == y.at && x.context == y.context && x.steps == y.steps;
  });
}

std::vector<double> per_step(const RunRecord& record, const std::string& category) {
  std::vector<double> out;
  for (const TraceWindow& window : record.trace) {
    int64_t ns = window.busy_ns;
    if (category != "busy") {
      const auto found = window.category_ns.find(category);
      ns = found == window.category_ns.end() ? 0 : found->second;
    }
    out.push_back(static_cast<double>(ns) /
                  static_cast<double>(std::max<int64_t>(window.steps, 1)));
  }
  return out;
}

}  // namespace

Difference paired_difference(std::span<const double> a, std::span<const double> b) {
  KVTOLL_CHECK(a.size() == b.size(), "{} and {} samples", a.size(), b.size());
  std::vector<double> d(a.size());
  std::ranges::transform(b, a, d.begin(), std::minus{});
  const Summary s = summarize(d);
  return {s.mean, s.ci95, s.n, true};
}

Difference welch_difference(std::span<const double> a, std::span<const double> b) {
  const Summary x = summarize(a), y = summarize(b);
  Difference d{y.mean - x.mean, {y.mean - x.mean, y.mean - x.mean}, std::min(x.n, y.n), false};
  if (d.n < 2) return d;
  const double vx = x.sd * x.sd / x.n, vy = y.sd * y.sd / y.n, v = vx + vy;
  if (v <= 0.0) return d;
  const double degrees = v * v / (vx * vx / (x.n - 1) + vy * vy / (y.n - 1));
  const double half = student_t975(std::max(1, static_cast<int>(degrees))) * std::sqrt(v);
  d.ci95 = {d.value - half, d.value + half};
  return d;
}

bool are_paired(const RunRecord& a, const RunRecord& b) {
  return !a.protocol.block.empty() && a.protocol.block == b.protocol.block &&
         a.protocol.order == "interleaved" && a.runs.size() == b.runs.size();
}

Difference throughput_difference(const RunRecord& a, const RunRecord& b) {
  const auto x = logs(a.throughput.decode_tok_s), y = logs(b.throughput.decode_tok_s);
  const bool paired = are_paired(a, b) && x.size() == y.size();
  return to_percent(paired ? paired_difference(x, y) : welch_difference(x, y));
}

Difference throughput_difference(
    std::span<const std::pair<const RunRecord*, const RunRecord*>> pairs) {
  if (pairs.size() == 1) return throughput_difference(*pairs[0].first, *pairs[0].second);
  std::vector<double> a, b;
  bool paired = true;
  for (const auto& [x, y] : pairs) {
    const auto lx = logs(x->throughput.decode_tok_s), ly = logs(y->throughput.decode_tok_s);
    if (are_paired(*x, *y) && lx.size() == ly.size()) {
      a.insert(a.end(), lx.begin(), lx.end());
      b.insert(b.end(), ly.begin(), ly.end());
    } else {  // only the means of a pair can be set side by side
      paired = false;
      a.push_back(summarize(lx).mean);
      b.push_back(summarize(ly).mean);
    }
  }
  Difference d = paired_difference(a, b);
  d.paired = paired;
  return to_percent(d);
}

std::vector<CategoryDifference> category_differences(const RunRecord& a, const RunRecord& b) {
  std::vector<CategoryDifference> out;
  if (a.trace.empty() || b.trace.empty()) return out;
  const bool paired = same_windows(a, b);
  std::vector<std::string> names(kCategories.begin(), kCategories.end());
  names.push_back("busy");
  for (const std::string& name : names) {
    const auto x = per_step(a, name), y = per_step(b, name);
    CategoryDifference row;
    row.category = name;
    row.a_ns = summarize(x).mean;
    row.b_ns = summarize(y).mean;
    row.difference = paired ? paired_difference(x, y) : welch_difference(x, y);
    out.push_back(std::move(row));
  }
  return out;
}

Attribution attribute_dequantization(const std::vector<CategoryDifference>& categories) {
  Attribution attribution;
  for (const CategoryDifference& row : categories) {
    if (row.category == "dequantization") attribution.own_kernels_ns = row.b_ns;
    if (row.category == "busy") attribution.by_difference = row.difference;
  }
  return attribution;
}

std::string percent_text(const Difference& d) {
  const auto number = [](double x) {
    return std::abs(x) < 9.95 ? fmt::format("{:+.1f}", x) : fmt::format("{:+.0f}", x);
  };
  if (!d.known()) return fmt::format("{} % (one run: spread unknown)", number(d.value));
  const std::string text =
      fmt::format("{} % ± {} %", number(d.value), number(d.half_width()).substr(1));
  return d.significant() ? text : text + ": no difference";
}

}  // namespace kvtoll::report
