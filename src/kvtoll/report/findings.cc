// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <tuple>

#include "kvtoll/report/difference.h"
#include "kvtoll/report/summary.h"

namespace kvtoll::report {
namespace {

using Pairs = std::vector<std::pair<const RunRecord*, const RunRecord*>>;

Pairs pairs_of(const Series& s, const std::string& kv) {
  Pairs pairs;
  for (const int64_t length : s.lengths) {
    const RunRecord *a = s.baseline(length), *b = s.at(kv, length);
    if (a && b) pairs.emplace_back(a, b);
  }
  return pairs;
}

std::string speed(const Series& s, const std::string& kv, const Pairs& pairs) {
  const Difference d = throughput_difference(pairs);
  return fmt::format("{}: {} against {}, decode throughput {} ({} {} runs at {} length{}).",
                     s.title, kv, pairs.front().first->config.kv, percent_text(d), d.n,
                     d.paired ? "paired" : "unpaired", pairs.size(), pairs.size() == 1 ? "" : "s");
}

std::string memory(const Series& s, const std::string& kv, const Pairs& pairs) {
  const MemoryFields &a = pairs.back().first->memory, &b = pairs.back().second->memory;
  if (a.kv_bytes <= 0 || b.kv_bytes <= 0) return "";
  const double ratio = static_cast<double>(a.kv_bytes) / static_cast<double>(b.kv_bytes);
  return fmt::format(
      "{}: the KV cache at {} new tokens takes {:.2f} MB as {}, {:.2f} MB as {} ({:.2f} x smaller; "
      "{:.1f} % of it is the exact residual).",
      s.title, s.lengths.back(), static_cast<double>(b.kv_bytes) * 1e-6, kv,
      static_cast<double>(a.kv_bytes) * 1e-6, pairs.back().first->config.kv, ratio,
      100.0 * static_cast<double>(b.kv_residual_bytes) / static_cast<double>(b.kv_bytes));
}

std::string time_text(double ns) {
  return std::abs(ns) < 1e6 ? fmt::format("{:.1f} µs", ns * 1e-3)
                            : fmt::format("{:.2f} ms", ns * 1e-6);
}

std::string attribution(const Series& s, const std::string& kv, const Pairs& pairs) {
  const auto rows = category_differences(*pairs.back().first, *pairs.back().second);
  if (rows.empty()) return "";
  const Attribution a = attribute_dequantization(rows);
  const Difference& d = a.by_difference;
  if (!d.known()) return "";
  return fmt::format(
      "{}: at {} new tokens {} spends {} a step in dequantization kernels of its own; by "
      "difference "
      "to {} all kernels together take {}{} ± {} more{}.",
      s.title, s.lengths.back(), kv, time_text(a.own_kernels_ns), pairs.back().first->config.kv,
      d.value < 0 ? "-" : "", time_text(std::abs(d.value)), time_text(d.half_width()),
      d.significant() ? "" : " (no difference)");
}

std::string flushes(const Series& s, const std::string& kv) {
  const RunRecord* r = s.at(kv, s.lengths.back());
  if (!r || !r->step_latency.flush_mean_ns || r->step_latency.append_mean_ns <= 0) return "";
  return fmt::format(
      "{}: a flush step of {} takes {:.2f} ms, {:.1f} x an append step; {} of {} "
      "steps flush.",
      s.title, kv, *r->step_latency.flush_mean_ns * 1e-6,
      *r->step_latency.flush_mean_ns / r->step_latency.append_mean_ns, r->step_latency.flush_steps,
      r->step_latency.flush_steps + r->step_latency.append_steps);
}

std::string device_text(const EnvironmentFields& e) {
  return e.gpu.empty() || e.gpu == e.device ? e.device : e.device + " / " + e.gpu;
}

}  // namespace

std::vector<std::string> findings(const std::vector<Series>& all) {
  std::vector<std::string> by_kind[4];
  const auto add = [&](int kind, std::string text) {
    if (!text.empty()) by_kind[kind].push_back(std::move(text));
  };
  for (const Series& s : all)
    for (const std::string& kv : s.formats) {
      if (is_baseline(kv)) continue;
      const Pairs pairs = pairs_of(s, kv);
      if (!pairs.empty()) {
        add(0, speed(s, kv, pairs));
        add(1, memory(s, kv, pairs));
        add(2, attribution(s, kv, pairs));
      }
      add(3, flushes(s, kv));
    }
  std::vector<std::string> sentences;
  for (auto& kind : by_kind) std::ranges::move(kind, std::back_inserter(sentences));
  return sentences;
}

std::vector<std::string> path_findings(const ResultSet& set) {
  const auto same = [](const ConfigFields& a, const ConfigFields& b) {
    const auto key = [](const ConfigFields& c) {
      return std::tie(c.model, c.kv, c.new_tokens, c.residual, c.batch, c.prompt_tokens);
    };
    return key(a) == key(b) && a.backend == b.backend;
  };
  std::vector<std::string> sentences;
  for (const RunRecord& hf : set.records)
    for (const RunRecord& other : set.records) {
      const ConfigFields& c = other.config;
      if (hf.status != Status::kOk || other.status != Status::kOk || hf.config.path != "hf" ||
          c.path == "hf" || !same(hf.config, c))
        continue;
      sentences.push_back(fmt::format(
          "{}, {}, {}: {} against Hugging Face's path, decode throughput {} ({:.1f} and "
          "{:.1f} tok/s).",
          c.model, c.kv, short_label(c), c.path, percent_text(throughput_difference(hf, other)),
          other.throughput.decode_tok_s.mean, hf.throughput.decode_tok_s.mean));
    }
  return sentences;
}

std::vector<std::string> cautions(const ResultSet& set) {
  std::vector<std::string> all;
  std::map<std::string, int> warnings;
  std::set<std::string> devices, revisions;
  double slowest_trace = 0.0;
  for (const RunRecord& r : set.records) {
    for (const std::string& warning : r.warnings) ++warnings[warning.substr(0, warning.find(": "))];
    if (!r.environment.device.empty()) devices.insert(device_text(r.environment));
    revisions.insert(r.environment.git_revision + (r.environment.git_dirty ? " (modified)" : ""));
    slowest_trace = std::max(slowest_trace, r.tracing_overhead.slowdown);
    if (r.status != Status::kOk)
      all.push_back(fmt::format("{} {} n{} r{}: {}: {}", r.config.model, r.config.kv,
                                r.config.new_tokens, r.config.residual, status_name(r.status),
                                r.reason));
  }
  if (devices.size() > 1)
    all.push_back(fmt::format("measured on {} machines: {}; compare within one only",
                              devices.size(), fmt::join(devices, "; ")));
  if (revisions.size() > 1)
    all.push_back(fmt::format("measured with {} revisions of kvtoll", revisions.size()));
  for (const auto& [warning, count] : warnings)
    all.push_back(fmt::format("{} record{} carr{} the warning {}", count, count == 1 ? "" : "s",
                              count == 1 ? "ies" : "y", warning));
  if (slowest_trace > 0.02)
    all.push_back(
        fmt::format("tracing slowed traced steps by up to {:.1f} %; headline numbers come "
                    "from untraced runs",
                    100.0 * slowest_trace));
  return all;
}

}  // namespace kvtoll::report
