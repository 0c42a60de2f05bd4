// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/bandwidth.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "kvtoll/core/statistics.h"
#include "kvtoll/report/summary.h"

namespace kvtoll::report {
namespace {

// Steps are numbered from the first after the prompt.
bool flushes_within(const RunRecord& r, int64_t first, int64_t steps) {
  return std::ranges::any_of(r.runs, [&](const RunSample& run) {
    return std::ranges::any_of(run.flush_steps,
                               [&](int64_t i) { return i >= first && i < first + steps; });
  });
}

std::optional<StepRate> rate_at(const RunRecord& r, std::string_view at) {
  StepRate rate{.at = std::string(at)};
  std::vector<double> ns;
  int64_t bytes = 0, steps = 0;
  for (const TraceWindow& window : r.trace) {
    const int64_t first = window.context - r.config.prompt_tokens;
    if (window.at != at || window.declared_bytes <= 0 || first < 0 ||
        flushes_within(r, first, window.steps))
      continue;
    if (steps == 0) rate.context = window.context;
    bytes += window.declared_bytes;
    steps += window.steps;
    for (const RunSample& run : r.runs)
      for (int64_t i = first; i < first + window.steps; ++i)
        if (i < static_cast<int64_t>(run.step_ns.size()))
          ns.push_back(static_cast<double>(run.step_ns[static_cast<size_t>(i)]));
  }
  if (ns.empty()) return std::nullopt;
  const double median = percentile(ns, 50);
  rate.tok_s = static_cast<double>(r.config.batch) * 1e9 / median;
  rate.gb_s = static_cast<double>(bytes) / static_cast<double>(steps) / median;
  return rate;
}

std::string share(double gb_s, const std::optional<double>& of) {
  return of && *of > 0 ? fmt::format("{:.1f}", 100.0 * gb_s / *of) : "-";
}

}  // namespace

std::vector<StepRate> step_rates(const RunRecord& record) {
  std::vector<StepRate> rates;
  for (const char* at : {"start", "end"})
    if (auto rate = rate_at(record, at)) rates.push_back(std::move(*rate));
  return rates;
}

TableBlock bandwidth_table(const std::vector<const RunRecord*>& records) {
  TableBlock table;
  table.text_columns = 5;
  table.header = {"model",  "KV format",   "run",  "path",           "steps at the",
                  "cached", "tok/s there", "GB/s", "% of datasheet", "% of measured"};
  for (const RunRecord* r : records)
    for (const StepRate& rate : step_rates(*r)) {
      const ConfigFields& c = r->config;
      table.rows.push_back({c.model, c.kv, short_label(c), c.path, rate.at,
                            std::to_string(rate.context), fmt::format("{:.1f}", rate.tok_s),
                            fmt::format("{:.0f}", rate.gb_s),
                            share(rate.gb_s, r->environment.peak_gb_s),
                            share(rate.gb_s, r->environment.measured_gb_s)});
    }
  return table;
}

}  // namespace kvtoll::report
