// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/summary.h"

#include <fmt/format.h>

#include <functional>
#include <vector>

#include "kvtoll/report/difference.h"

namespace kvtoll::report {
namespace {

struct Row {
  const RunRecord& record;
  const RunRecord* baseline;  // nullptr: none, or this is one
  const std::filesystem::path& file;
  bool ok() const { return record.status == Status::kOk; }
};

struct Column {
  std::string name;
  std::function<std::string(const Row&)> value;
};

std::string number(double x) { return fmt::format("{:.6g}", x); }
std::string number(const std::optional<double>& x) { return x ? number(*x) : ""; }

void add_configuration(std::vector<Column>& columns) {
  columns.push_back({"model", [](const Row& r) { return r.record.config.model; }});
  columns.push_back({"kv", [](const Row& r) { return r.record.config.kv; }});
  const auto integer = [&](const char* name, int64_t ConfigFields::*field) {
    columns.push_back(
        {name, [field](const Row& r) { return std::to_string(r.record.config.*field); }});
  };
  integer("new_tokens", &ConfigFields::new_tokens);
  integer("residual", &ConfigFields::residual);
  integer("batch", &ConfigFields::batch);
  integer("prompt_tokens", &ConfigFields::prompt_tokens);
  columns.push_back({"path", [](const Row& r) { return r.record.config.path; }});
  columns.push_back(
      {"status", [](const Row& r) { return std::string(status_name(r.record.status)); }});
  columns.push_back({"reason", [](const Row& r) { return r.record.reason; }});
}

// A column that is empty unless the record is ok.
void measured(std::vector<Column>& columns, std::string name,
              std::function<std::string(const RunRecord&)> value) {
  columns.push_back({std::move(name), [value = std::move(value)](const Row& r) {
                       return r.ok() ? value(r.record) : std::string();
                     }});
}

void add_speed(std::vector<Column>& columns) {
  using R = const RunRecord&;
  measured(columns, "decode_tok_s", [](R r) { return number(r.throughput.decode_tok_s.mean); });
  measured(columns, "decode_tok_s_sd", [](R r) { return number(r.throughput.decode_tok_s.sd); });
  measured(columns, "decode_tok_s_low",
           [](R r) { return number(r.throughput.decode_tok_s.ci95[0]); });
  measured(columns, "decode_tok_s_high",
           [](R r) { return number(r.throughput.decode_tok_s.ci95[1]); });
  measured(columns, "runs", [](R r) { return std::to_string(r.runs.size()); });
  const auto against = [&](const char* name, std::string (*value)(const Difference&)) {
    columns.push_back({name, [value](const Row& r) {
                         if (!r.ok() || !r.baseline) return std::string();
                         return value(throughput_difference(*r.baseline, r.record));
                       }});
  };
  against("vs_baseline_percent", [](const Difference& d) { return number(d.value); });
  against("vs_baseline_low", [](const Difference& d) { return number(d.ci95.low); });
  against("vs_baseline_high", [](const Difference& d) { return number(d.ci95.high); });
  against("vs_baseline_verdict", [](const Difference& d) {
    return std::string(!d.known()         ? "one run"
                       : !d.significant() ? "no difference"
                       : d.value > 0      ? "faster"
                                          : "slower");
  });
  measured(columns, "prefill_tok_s", [](R r) { return number(r.throughput.prefill_tok_s.mean); });
  measured(columns, "ttft_ms", [](R r) { return number(r.throughput.ttft_ms.mean); });
}

void add_latency(std::vector<Column>& columns) {
  using R = const RunRecord&;
  measured(columns, "step_p50_ns", [](R r) { return number(r.step_latency.p50_ns); });
  measured(columns, "step_p99_ns", [](R r) { return number(r.step_latency.p99_ns); });
  measured(columns, "append_mean_ns", [](R r) { return number(r.step_latency.append_mean_ns); });
  measured(columns, "flush_mean_ns", [](R r) { return number(r.step_latency.flush_mean_ns); });
  measured(columns, "flush_steps", [](R r) { return std::to_string(r.step_latency.flush_steps); });
  measured(columns, "fit_intercept_ns",
           [](R r) { return number(r.step_latency.fit.intercept_ns); });
  measured(columns, "fit_slope_ns_per_token",
           [](R r) { return number(r.step_latency.fit.slope_ns_per_token); });
}

void add_memory_and_energy(std::vector<Column>& columns) {
  const auto bytes = [&](const char* name, int64_t MemoryFields::*field) {
    measured(columns, name,
             [field](const RunRecord& r) { return std::to_string(r.memory.*field); });
  };
  bytes("weights_bytes", &MemoryFields::weights_bytes);
  bytes("kv_bytes", &MemoryFields::kv_bytes);
  bytes("kv_payload_bytes", &MemoryFields::kv_payload_bytes);
  bytes("kv_scales_bytes", &MemoryFields::kv_scales_bytes);
  bytes("kv_residual_bytes", &MemoryFields::kv_residual_bytes);
  bytes("workspace_bytes", &MemoryFields::workspace_bytes);
  bytes("peak_bytes", &MemoryFields::peak_bytes);
  measured(columns, "energy_gross_j_per_token",
           [](const RunRecord& r) { return number(r.energy.gross_j_per_token); });
  measured(columns, "energy_net_j_per_token",
           [](const RunRecord& r) { return number(r.energy.net_j_per_token); });
}

std::vector<Column> make_columns() {
  std::vector<Column> columns;
  add_configuration(columns);
  add_speed(columns);
  add_latency(columns);
  add_memory_and_energy(columns);
  for (const std::string_view name : kCategories)
    measured(columns, fmt::format("share_{}", name), [name](const RunRecord& r) {
      const auto found = r.categories.find(std::string(name));
      return found == r.categories.end() ? "" : number(found->second.share);
    });
  measured(columns, "tracing_slowdown", [](const RunRecord& r) {
    return r.tracing_overhead.available ? number(r.tracing_overhead.slowdown) : "";
  });
  columns.push_back({"device", [](const Row& r) { return r.record.environment.device; }});
  columns.push_back(
      {"git_revision", [](const Row& r) { return r.record.environment.git_revision; }});
  columns.push_back({"file", [](const Row& r) { return r.file.filename().string(); }});
  return columns;
}

std::string megabytes(int64_t bytes) {
  return fmt::format("{:.2f}", static_cast<double>(bytes) * 1e-6);
}

std::string against_baseline(const ResultSet& set, const RunRecord& record) {
  if (is_baseline(record.config.kv)) return "baseline";
  const RunRecord* baseline = baseline_of(set, record);
  if (!baseline) return "-";
  std::string text = percent_text(throughput_difference(*baseline, record));
  const size_t verdict = text.find(": no difference");
  if (verdict != text.npos) text.replace(verdict, text.npos, " =");
  return text;
}

std::string table_line(const ResultSet& set, const RunRecord& r) {
  const ConfigFields& c = r.config;
  const std::string head =
      fmt::format("{:<18} {:<14} {:<11} {:<12}", c.model, c.kv, short_label(c), c.path);
  if (r.status != Status::kOk)
    return fmt::format("{} {}: {}\n", head, status_name(r.status), r.reason);
  const auto share = [&](const char* name) {
    const auto found = r.categories.find(name);
    return found == r.categories.end() ? 0.0 : 100.0 * found->second.share;
  };
  return fmt::format("{} {:>16} {:>18} {:>9.3f} {:>9.3f} {:>9} {:>7.1f} {:>6.1f}\n", head,
                     mean_sd_text(r.throughput.decode_tok_s), against_baseline(set, r),
                     r.step_latency.p50_ns * 1e-6, r.step_latency.p99_ns * 1e-6,
                     megabytes(r.memory.kv_bytes), share("dequantization"), share("idle"));
}

}  // namespace

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == text.npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) out.append(c == '"' ? 2 : 1, c);
  return out + "\"";
}

std::string short_label(const ConfigFields& c) {
  std::string label = fmt::format("n{} r{}", c.new_tokens, c.residual);
  if (c.batch != 1) label += fmt::format(" b{}", c.batch);
  if (c.prompt_tokens != kDefaultPromptTokens) label += fmt::format(" p{}", c.prompt_tokens);
  return label;
}

std::string mean_sd_text(const Distribution& d) {
  const double half = (d.ci95[1] - d.ci95[0]) / 2;
  return d.samples.size() < 2 ? fmt::format("{:.1f}", d.mean)
                              : fmt::format("{:.1f} ± {:.1f}", d.mean, half);
}

std::string summary_csv(const ResultSet& set) {
  const std::vector<Column> columns = make_columns();
  std::string csv;
  for (const Column& column : columns) csv += (csv.empty() ? "" : ",") + column.name;
  csv += "\n";
  for (size_t i = 0; i < set.records.size(); ++i) {
    const RunRecord& record = set.records[i];
    const bool compared = !is_baseline(record.config.kv);
    const Row row{record, compared ? baseline_of(set, record) : nullptr, set.files[i]};
    for (size_t c = 0; c < columns.size(); ++c)
      csv.append(c ? "," : "").append(csv_field(columns[c].value(row)));
    csv += "\n";
  }
  return csv;
}

std::string summary_text(const ResultSet& set) {
  std::string text =
      fmt::format("{:<18} {:<14} {:<11} {:<12} {:>16} {:>18} {:>9} {:>9} {:>9} {:>7} {:>6}\n",
                  "model", "kv", "run", "path", "tok/s (95 %)", "against fp16", "p50 ms", "p99 ms",
                  "KV MB", "deq. %", "idle %");
  for (const RunRecord& record : set.records) text += table_line(set, record);
  return text + "\n± is a 95 % interval; = is no difference, since the interval includes zero\n";
}

}  // namespace kvtoll::report
