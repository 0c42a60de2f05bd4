// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/accuracy_report.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvtoll {
namespace {

namespace fs = std::filesystem;

bool is_exact(const EvalRecord& record) {
  const std::string kv = config_field(record, "kv");
  return kv == "fp16" || kv == "bf16" || kv == "fp32";
}

// What two records must share to be one evaluation under two formats. The prefill is left out: with
// an exact cache both are the same.
std::string setting_of(const EvalRecord& record) {
  std::string setting = record.task + "|" + record.mode;
  for (const char* field : {"model", "prompt_style", "shots", "limit", "subset_seed",
                            "max_new_tokens", "samples", "temperature", "top_p", "seed"})
    setting += "|" + config_field(record, field);
  return setting;
}

std::string line(const std::string& name, const EvalRecord& a, const EvalRecord& b) {
  const auto comparison = compare_answers(a, b);
  return fmt::format("{}: {}\n", name,
                     comparison ? comparison->text() : comparison.error().message);
}

std::string format_name(const EvalRecord& record) {
  std::string name = config_field(record, "kv");
  if (config_field(record, "residual") != "128")
    name += " residual " + config_field(record, "residual");
  if (config_field(record, "prefill") == "quantized") name += ", prefill quantized";
  return name;
}

}  // namespace

std::vector<std::pair<fs::path, EvalRecord>> accuracy_records(const fs::path& results) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(results / "accuracy", error))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::pair<fs::path, EvalRecord>> records;
  for (const fs::path& file : files)
    if (auto record = read_eval_record(file)) records.emplace_back(file, *std::move(record));
  return records;
}

std::string against_exact(const fs::path& file) {
  const auto record = read_eval_record(file);
  if (!record || is_exact(*record)) return {};
  for (const auto& [path, other] : accuracy_records(file.parent_path().parent_path()))
    if (is_exact(other) && setting_of(other) == setting_of(*record))
      return line("against " + config_field(other, "kv"), other, *record);
  return {};
}

std::string formats_text(const fs::path& results) {
  const auto records = accuracy_records(results);
  std::string text;
  for (const auto& [file, record] : records) {
    if (is_exact(record)) continue;
    const auto exact = std::find_if(records.begin(), records.end(), [&](const auto& entry) {
      return is_exact(entry.second) && setting_of(entry.second) == setting_of(record);
    });
    if (exact == records.end()) continue;
    text += line(fmt::format("{} {}: {} against {}", record.task, config_field(record, "model"),
                             format_name(record), config_field(exact->second, "kv")),
                 exact->second, record);
  }
  return text;
}

Result<std::optional<std::string>> compare_accuracy(const fs::path& a, const fs::path& b) {
  if (fs::is_regular_file(a) && fs::is_regular_file(b)) {
    const auto first = read_eval_record(a), second = read_eval_record(b);
    if (!first || !second) return std::nullopt;
    KVTOLL_TRY(const AnswerComparison comparison, compare_answers(*first, *second));
    return fmt::format("{} {}: {} against {}: {}\n", first->task, config_field(*first, "model"),
                       format_name(*second), format_name(*first), comparison.text());
  }
  if (!fs::is_directory(a) || !fs::is_directory(b)) return std::nullopt;
  std::string text;
  const auto of_b = accuracy_records(b);
  for (const auto& [file, record] : accuracy_records(a))
    for (const auto& [other, theirs] : of_b)
      if (other.filename() == file.filename()) text += line(file.stem().string(), record, theirs);
  if (text.empty()) return std::nullopt;
  return text;
}

}  // namespace kvtoll
