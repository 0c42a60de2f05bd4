// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "kvtoll/core/files.h"
#include "kvtoll/report/accuracy_table.h"
#include "kvtoll/report/bandwidth.h"
#include "kvtoll/report/difference.h"
#include "kvtoll/report/document.h"
#include "kvtoll/report/figures.h"
#include "kvtoll/report/findings.h"
#include "kvtoll/report/series.h"
#include "kvtoll/report/summary.h"

namespace kvtoll::report {
namespace {

namespace fs = std::filesystem;

std::string joined(const std::set<std::string>& values) {
  return fmt::format("{}", fmt::join(values, "; "));
}

constexpr const char* kBandwidthNote =
    "GB/s: the bytes that a step must move, over its time in untraced runs; measured: what this "
    "machine's memory gave a plain read before the study.";

// Of every format the longest generation of each model, path, batch and prompt.
std::vector<const RunRecord*> longest_records(const ResultSet& set) {
  std::vector<const RunRecord*> records;
  for (const Series& s : make_series(set))
    for (const std::string& kv : s.formats)
      if (const RunRecord* r = s.at(kv, s.lengths.back())) records.push_back(r);
  return records;
}

// What the paths are and cost, where Hugging Face's was taken.
std::string path_note(const ResultSet& set) {
  const auto taken = [&](std::string_view path) {
    return std::ranges::any_of(set.records,
                               [&](const RunRecord& r) { return r.config.path == path; });
  };
  if (!taken("hf")) return "";
  std::string text =
      "hf is Hugging Face's own work: dequantize, concatenate, attend, one launch at a time. ";
  text += taken("fused")
              ? "fused reads the cache in place, a captured step at once.\n"
              : "To see what the engine does without it: --attention fused --launch graph.\n";
  for (const std::string& finding : path_findings(set)) text += finding + "\n";
  return text;
}

// What, where, when and with which command.
std::vector<std::pair<std::string, std::string>> provenance(const ResultSet& set) {
  std::set<std::string> devices, revisions, commands, times, bandwidths, models, systems;
  for (const RunRecord& r : set.records) {
    const EnvironmentFields& e = r.environment;
    if (!e.device.empty()) devices.insert(e.device);
    revisions.insert(fmt::format("{} {}{}, {} build, {}", e.kvtoll_version,
                                 e.git_revision.substr(0, 12), e.git_dirty ? " (modified)" : "",
                                 e.build_type, e.compiler));
    commands.insert(fmt::format("{}", fmt::join(e.argv, " ")));
    times.insert(e.started_utc);
    systems.insert(fmt::format("{}{}{}", e.os, e.driver.empty() ? "" : ", driver ", e.driver));
    if (e.measured_gb_s) bandwidths.insert(fmt::format("{:.1f} GB/s measured", *e.measured_gb_s));
    if (e.peak_gb_s) bandwidths.insert(fmt::format("{:.0f} GB/s datasheet", *e.peak_gb_s));
    models.insert(fmt::format("{} = {}", r.config.model, r.config.model_source));
  }
  std::vector<std::pair<std::string, std::string>> facts = {{"Machine", joined(devices)},
                                                            {"System", joined(systems)}};
  if (!bandwidths.empty()) facts.emplace_back("Memory bandwidth", joined(bandwidths));
  facts.emplace_back("kvtoll", joined(revisions));
  facts.emplace_back("Command", joined(commands));
  facts.emplace_back("Models", joined(models));
  if (!times.empty()) {
    const std::string& first = *times.begin();
    const std::string& last = *times.rbegin();
    facts.emplace_back("Measured", first == last ? first : first + " to " + last);
  }
  return facts;
}

std::string share_text(const RunRecord& r, const char* category) {
  const auto found = r.categories.find(category);
  return found == r.categories.end() || r.trace.empty()
             ? "-"
             : fmt::format("{:.1f}", 100.0 * found->second.share);
}

std::vector<std::string> speed_row(const ResultSet& set, const RunRecord& r) {
  const ConfigFields& c = r.config;
  std::vector<std::string> row = {c.model, c.kv, short_label(c), c.path};
  if (r.status != Status::kOk) {
    row.push_back(std::string(status_name(r.status)));
    row.resize(13);
    return row;
  }
  const RunRecord* base = is_baseline(c.kv) ? nullptr : baseline_of(set, r);
  const StepLatencyFields& s = r.step_latency;
  const auto ms = [](double ns) { return fmt::format("{:.3f}", ns * 1e-6); };
  row.push_back(mean_sd_text(r.throughput.decode_tok_s));
  row.push_back(base ? percent_text(throughput_difference(*base, r)) : "baseline");
  row.push_back(fmt::format("{:.1f}", r.throughput.ttft_ms.mean));
  row.push_back(ms(s.p50_ns));
  row.push_back(ms(s.p99_ns));
  row.push_back(s.flush_mean_ns ? ms(*s.flush_mean_ns) : "-");
  row.push_back(fmt::format("{:.2f}", static_cast<double>(r.memory.kv_bytes) * 1e-6));
  row.push_back(share_text(r, "dequantization"));
  row.push_back(share_text(r, "idle"));
  return row;
}

TableBlock speed_table(const ResultSet& set) {
  TableBlock table;
  table.text_columns = 4;
  table.header = {"model",        "KV format",      "run",         "path",        "tok/s (95 %)",
                  "against fp16", "first token ms", "step p50 ms", "step p99 ms", "flush ms",
                  "KV MB",        "dequant. %",     "idle %"};
  for (const RunRecord& r : set.records) table.rows.push_back(speed_row(set, r));
  return table;
}

// Category by category against the baseline, at the longest length of the series.
std::optional<TableBlock> attribution_table(const Series& s) {
  const RunRecord* base = s.baseline(s.lengths.back());
  if (!base || base->trace.empty()) return std::nullopt;
  TableBlock table;
  table.header = {fmt::format("{}, n{}: µs per step", s.title, s.lengths.back()), base->config.kv};
  std::vector<std::vector<CategoryDifference>> columns;
  for (const std::string& kv : s.formats)
    if (const RunRecord* r = s.at(kv, s.lengths.back()); r && !is_baseline(kv)) {
      columns.push_back(category_differences(*base, *r));
      table.header.push_back(kv);
      table.header.push_back("difference (95 %)");
    }
  if (columns.empty() || columns.front().empty()) return std::nullopt;
  for (size_t i = 0; i < columns.front().size(); ++i) {
    const CategoryDifference& first = columns.front()[i];
    std::vector<std::string> row = {first.category == "busy" ? "all kernels" : first.category,
                                    fmt::format("{:.2f}", first.a_ns * 1e-3)};
    for (const auto& column : columns) {
      const Difference& d = column.at(i).difference;
      row.push_back(fmt::format("{:.2f}", column.at(i).b_ns * 1e-3));
      row.push_back(fmt::format("{:+.2f} ± {:.2f}{}", d.value * 1e-3, d.half_width() * 1e-3,
                                d.significant() || d.value == 0.0 ? "" : ": no difference"));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

// Draws the figures of a series; a failure is noted once and the report goes on without them.
void add_figures(const Series& s, const fs::path& out, Section& section, ReportFiles& files) {
  for (const Figure& figure : make_figures(s)) {
    auto svg = draw(out / "figures", figure.script);
    if (!svg) {
      if (files.notes.empty() || files.notes.back() != svg.error().message)
        files.notes.push_back(svg.error().message);
      continue;
    }
    section.figures.push_back({"figures/" + figure.script.name(), *svg, figure.caption});
  }
}

std::string title_of(const ResultSet& set) {
  std::set<std::string> titles(set.titles.begin(), set.titles.end());
  titles.erase("");
  return titles.size() == 1 ? *titles.begin() : "KV-cache quantization: what it costs and saves";
}

Document make_document(const ResultSet& set, const std::vector<fs::path>& places,
                       const fs::path& out, ReportFiles& files) {
  Document document;
  document.title = title_of(set);
  size_t ok = 0;
  for (const RunRecord& r : set.records) ok += r.status == Status::kOk ? 1 : 0;
  document.subtitle = set.records.empty()
                          ? "questions alone; no speed was measured"
                          : fmt::format("{} configurations, {} measured", set.records.size(), ok);
  if (!set.records.empty()) document.facts = provenance(set);
  const std::vector<Series> all = make_series(set);
  Section found{.title = "Findings"}, figures{.title = "Figures"},
      categories{.title = "Time by category"};
  found.sentences = path_findings(set);
  std::ranges::move(findings(all), std::back_inserter(found.sentences));
  for (const Series& s : all) {
    add_figures(s, out, figures, files);
    if (auto table = attribution_table(s)) categories.tables.push_back(std::move(*table));
  }
  found.note =
      "± is a 95 % interval. Runs of one block were taken in turn, so differences are paired; a "
      "difference whose interval includes zero is called no difference.";
  if (!found.sentences.empty()) document.sections.push_back(std::move(found));
  if (auto accuracy = accuracy_section(places, set.references))
    document.sections.push_back(std::move(*accuracy));
  if (!figures.figures.empty()) document.sections.push_back(std::move(figures));
  if (!set.records.empty())
    document.sections.push_back({.title = "Every configuration", .tables = {speed_table(set)}});
  std::vector<const RunRecord*> measured;
  for (const RunRecord& r : set.records) measured.push_back(&r);
  if (auto rates = bandwidth_table(measured); !rates.rows.empty())
    document.sections.push_back({.title = "Memory bandwidth of a step",
                                 .tables = {std::move(rates)},
                                 .note = kBandwidthNote});
  if (!categories.tables.empty()) document.sections.push_back(std::move(categories));
  if (const auto list = cautions(set); !list.empty())
    document.sections.push_back({.title = "Cautions", .sentences = list});
  return document;
}

}  // namespace

Result<ReportFiles> write_report(const std::vector<fs::path>& places, const fs::path& out) {
  KVTOLL_TRY(const ResultSet set, read_results(places));
  ReportFiles files{out / "summary.csv", out / "report.md", out / "report.html", {}};
  KVTOLL_TRY_VOID(write_file_atomic(files.csv, summary_csv(set)));
  const Document document = make_document(set, places, out, files);
  KVTOLL_TRY_VOID(write_file_atomic(files.markdown, to_markdown(document)));
  KVTOLL_TRY_VOID(write_file_atomic(files.html, to_html(document)));
  return files;
}

Result<std::string> terminal_report(const fs::path& results) {
  KVTOLL_TRY(const ResultSet set, read_results({results}));
  std::string text = set.records.empty() ? "" : summary_text(set) + path_note(set);
  if (const TableBlock rates = bandwidth_table(longest_records(set)); !rates.rows.empty())
    text += "\n" + table_text(rates) + kBandwidthNote + "\n";
  if (const auto accuracy = accuracy_section({results}, set.references))
    for (const TableBlock& table : accuracy->tables) text += "\n" + table_text(table);
  return text;
}

}  // namespace kvtoll::report
