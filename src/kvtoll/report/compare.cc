// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/compare.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "kvtoll/report/record_io.h"
#include "kvtoll/report/results.h"
#include "kvtoll/report/summary.h"

namespace kvtoll::report {
namespace {

namespace fs = std::filesystem;

std::string heading(const char* name, const RunRecord& r) {
  const ConfigFields& c = r.config;
  return fmt::format("{}  {} {} {} {}  [{}, {}{}]\n", name, c.model, c.kv, short_label(c), c.path,
                     r.environment.device, r.environment.git_revision.substr(0, 12),
                     r.environment.git_dirty ? " modified" : "");
}

std::string row(const std::string& name, const std::string& a, const std::string& b,
                const std::string& difference) {
  return fmt::format("  {:<24} {:>16} {:>16}   {}\n", name, a, b, difference);
}

std::string fixed(double x, int digits) { return fmt::format("{:.{}f}", x, digits); }

// B - A with its interval, in microseconds.
std::string microseconds(const Difference& d) {
  if (!d.known()) return fmt::format("{:+.2f}", d.value * 1e-3);
  return fmt::format("{:+.2f} ± {:.2f}{}", d.value * 1e-3, d.half_width() * 1e-3,
                     d.significant() || d.value == 0.0 ? "" : ": no difference");
}

std::string speed_rows(const RunRecord& a, const RunRecord& b) {
  const StepLatencyFields &x = a.step_latency, &y = b.step_latency;
  std::string text =
      row("decode tok/s", mean_sd_text(a.throughput.decode_tok_s),
          mean_sd_text(b.throughput.decode_tok_s), percent_text(throughput_difference(a, b)));
  text +=
      row("first token ms", mean_sd_text(a.throughput.ttft_ms), mean_sd_text(b.throughput.ttft_ms),
          are_paired(a, b) || a.throughput.ttft_ms.samples.size() < 2
              ? ""
              : fmt::format("{:+.2f}", b.throughput.ttft_ms.mean - a.throughput.ttft_ms.mean));
  text += row("step p50 ms", fixed(x.p50_ns * 1e-6, 3), fixed(y.p50_ns * 1e-6, 3), "");
  text += row("step p99 ms", fixed(x.p99_ns * 1e-6, 3), fixed(y.p99_ns * 1e-6, 3), "");
  const auto flush = [](const StepLatencyFields& s) {
    return s.flush_mean_ns ? fixed(*s.flush_mean_ns * 1e-6, 3) : std::string("-");
  };
  text += row("flush step ms", flush(x), flush(y), "");
  const auto line = [](const FitFields& f) {
    return fmt::format("{:.1f} + {:.3f} c", f.intercept_ns * 1e-3, f.slope_ns_per_token * 1e-3);
  };
  return text + row("step µs at context c", line(x.fit_append), line(y.fit_append),
                    "least squares without flush steps");
}

std::string category_rows(const std::vector<CategoryDifference>& rows) {
  if (rows.empty()) return "  no kernel trace in both: no categories\n";
  std::string text = "\n  time by category, µs per step\n";
  for (const CategoryDifference& r : rows)
    text += row(r.category == "busy" ? "all kernels" : r.category, fixed(r.a_ns * 1e-3, 2),
                fixed(r.b_ns * 1e-3, 2), microseconds(r.difference));
  const Attribution attribution = attribute_dequantization(rows);
  text += fmt::format(
      "\n  what B's format costs a step: {:.2f} µs in dequantization kernels of its own; by "
      "difference to A, all\n  kernels together {} µs\n",
      attribution.own_kernels_ns * 1e-3, microseconds(attribution.by_difference));
  return text;
}

std::string memory_rows(const RunRecord& a, const RunRecord& b) {
  std::string text = "\n  memory, MB\n";
  const auto add = [&](const char* name, int64_t MemoryFields::*field) {
    const auto x = static_cast<double>(a.memory.*field), y = static_cast<double>(b.memory.*field);
    text += row(name, fixed(x * 1e-6, 3), fixed(y * 1e-6, 3),
                x > 0 ? fmt::format("{:+.1f} %", 100.0 * (y - x) / x) : "");
  };
  add("weights", &MemoryFields::weights_bytes);
  add("KV cache", &MemoryFields::kv_bytes);
  add("  payload", &MemoryFields::kv_payload_bytes);
  add("  scales", &MemoryFields::kv_scales_bytes);
  add("  residual", &MemoryFields::kv_residual_bytes);
  add("workspace", &MemoryFields::workspace_bytes);
  add("peak", &MemoryFields::peak_bytes);
  return text;
}

std::string energy_rows(const RunRecord& a, const RunRecord& b) {
  if (!a.energy.available || !b.energy.available)
    return fmt::format("\n  energy: not available ({})\n",
                       a.energy.available ? b.energy.reason : a.energy.reason);
  const auto joules = [](const std::optional<double>& x) { return x ? fixed(*x, 4) : "-"; };
  const auto both = [&](const char* name, const auto& x, const auto& y) {
    return row(name, joules(x), joules(y), "");
  };
  std::string text = "\n";
  text += both("gross J/token", a.energy.gross_j_per_token, b.energy.gross_j_per_token);
  text += both("net J/token", a.energy.net_j_per_token, b.energy.net_j_per_token);
  const EnergyPart &x = a.energy.decode, &y = b.energy.decode;
  if (x.available && y.available)
    text += both("  decode, gross", x.gross_j_per_token, y.gross_j_per_token) +
            both("  decode, net", x.net_j_per_token, y.net_j_per_token);
  return text;
}

Result<void> require_measured(const RunRecord& r, const fs::path& file) {
  if (r.status == Status::kOk) return {};
  return input_error("{}: nothing was measured: {}: {}", file.string(), status_name(r.status),
                     r.reason);
}

Result<Comparison> compare_files(const fs::path& a, const fs::path& b) {
  KVTOLL_TRY(const RunRecord x, read_record(a));
  KVTOLL_TRY(const RunRecord y, read_record(b));
  KVTOLL_TRY_VOID(require_measured(x, a));
  KVTOLL_TRY_VOID(require_measured(y, b));
  Comparison comparison{compare_text(x, y), {}};
  comparison.pairs.push_back({b.filename().string(), throughput_difference(x, y)});
  return comparison;
}

Result<Comparison> compare_folders(const fs::path& a, const fs::path& b) {
  KVTOLL_TRY(const ResultSet x, read_results({a}));
  KVTOLL_TRY(const ResultSet y, read_results({b}));
  Comparison comparison;
  comparison.text = fmt::format("A  {}\nB  {}\n\n{:<56} {:>12} {:>12}   {}\n", a.string(),
                                b.string(), "configuration", "A tok/s", "B tok/s", "B against A");
  size_t unmatched = 0;
  for (size_t i = 0; i < x.records.size(); ++i) {
    const std::string name = x.files[i].filename().string();
    const RunRecord* other = nullptr;
    for (size_t j = 0; j < y.records.size(); ++j)
      if (y.files[j].filename() == x.files[i].filename()) other = &y.records[j];
    if (!other || other->status != Status::kOk || x.records[i].status != Status::kOk) {
      ++unmatched;
      continue;
    }
    const Difference d = throughput_difference(x.records[i], *other);
    comparison.text += fmt::format("{:<56} {:>12.1f} {:>12.1f}   {}\n", name,
                                   x.records[i].throughput.decode_tok_s.mean,
                                   other->throughput.decode_tok_s.mean, percent_text(d));
    comparison.pairs.push_back({name, d});
  }
  if (comparison.pairs.empty())
    return input_error("{} and {}: no configuration is measured in both", a.string(), b.string());
  if (unmatched > 0)
    comparison.text +=
        fmt::format("{} of A's configurations are not measured in both\n", unmatched);
  return comparison;
}

}  // namespace

std::string compare_text(const RunRecord& a, const RunRecord& b) {
  std::string text = heading("A", a) + heading("B", b);
  text += are_paired(a, b) ? "measured in turn: differences are paired by round\n\n"
                           : "not measured in turn: differences are unpaired\n\n";
  if (a.environment.device != b.environment.device)
    text += "different machines: what differs may be the machine\n\n";
  text += row("", "A", "B", "B - A");
  text += speed_rows(a, b) + category_rows(category_differences(a, b)) + memory_rows(a, b) +
          energy_rows(a, b);
  return text;
}

std::vector<std::string> Comparison::slower_than(double percent) const {
  std::vector<std::string> slower;
  for (const ComparedPair& pair : pairs)
    if (pair.throughput.significant() && pair.throughput.value < -percent)
      slower.push_back(fmt::format("{}: {}", pair.label, percent_text(pair.throughput)));
  return slower;
}

std::string Comparison::json() const {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const ComparedPair& pair : pairs)
    rows.push_back({{"configuration", pair.label},
                    {"throughput_percent", pair.throughput.value},
                    {"ci95", {pair.throughput.ci95.low, pair.throughput.ci95.high}},
                    {"paired", pair.throughput.paired},
                    {"difference", pair.throughput.significant()}});
  return rows.dump(1) + "\n";
}

Result<Comparison> compare(const fs::path& a, const fs::path& b) {
  for (const fs::path& path : {a, b})
    if (!fs::exists(path)) return input_error("{}: no such file or folder", path.string());
  if (fs::is_directory(a) != fs::is_directory(b))
    return usage_error("compare two records or two folders, not {} with {}", a.string(),
                       b.string());
  return fs::is_directory(a) ? compare_folders(a, b) : compare_files(a, b);
}

}  // namespace kvtoll::report
