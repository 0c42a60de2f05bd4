// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/accuracy_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "kvtoll/core/files.h"
#include "kvtoll/core/shipped.h"
#include "kvtoll/report/results.h"

namespace kvtoll::report {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Scores {
  std::map<std::pair<std::string, std::string>, std::map<std::string, std::string>> rows;
  std::set<std::string> formats;
  std::vector<std::string> unreadable;
};

// "arith", with what sets it apart: "mmlu, letter, prefill quantized, residual 32".
std::string task_label(const Json& config) {
  std::string label = config.at("task").get<std::string>();
  const std::string mode = config.value("mode", std::string());
  if (label == "mmlu" && !mode.empty()) label += ", " + mode;
  if (config.value("prefill", std::string("exact")) == "quantized") label += ", prefill quantized";
  if (const auto residual = config.value("residual", kDefaultResidual);
      residual != kDefaultResidual)
    label += fmt::format(", residual {}", residual);
  if (const auto longest = config.value("limit", int64_t{0}); longest > 0)
    label += fmt::format(", {} questions", longest);
  return label;
}

std::string score_text(const Json& a) {
  const auto percent = [](const Json& x) { return 100.0 * x.get<double>(); };
  std::string text = fmt::format("{:.1f} % [{:.1f}, {:.1f}] {}/{}", percent(a.at("value")),
                                 percent(a.at("ci95").at(0)), percent(a.at("ci95").at(1)),
                                 a.at("correct").get<int64_t>(), a.at("total").get<int64_t>());
  if (const auto cut = a.value("truncated", int64_t{0}); cut > 0)
    text += fmt::format(", {} cut off", cut);
  return text;
}

// accuracy = {correct, total, truncated, value, ci95}, or one of those per grading policy.
void add_record(const Json& record, Scores& scores) {
  const Json& config = record.at("config");
  const std::string model = config.at("model"), kv = config.at("kv");
  const std::string task = task_label(config);
  scores.formats.insert(kv);
  if (record.value("status", std::string("ok")) != "ok") {
    scores.rows[{model, task}][kv] = record.at("status");
    return;
  }
  const Json& accuracy = record.at("accuracy");
  if (accuracy.contains("correct")) {
    scores.rows[{model, task}][kv] = score_text(accuracy);
    return;
  }
  for (const auto& [policy, a] : accuracy.items())
    if (a.is_object()) scores.rows[{model, task + ", " + policy}][kv] = score_text(a);
}

void read_folder(const fs::path& folder, Scores& scores) {
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec)) {
    if (entry.path().extension() != ".json") continue;
    const auto text = read_file(entry.path());
    try {
      if (text) add_record(Json::parse(*text), scores);
    } catch (const Json::exception& error) {
      scores.unreadable.push_back(
          fmt::format("{} cannot be read: {}", entry.path().filename().string(), error.what()));
    }
  }
}

TableBlock table_of(const Scores& scores, const std::string& title) {
  std::vector<std::string> formats(scores.formats.begin(), scores.formats.end());
  std::ranges::sort(formats, format_before);
  TableBlock table;
  table.text_columns = 2;
  table.header = {title, "task"};
  table.header.insert(table.header.end(), formats.begin(), formats.end());
  for (const auto& [key, by_format] : scores.rows) {
    std::vector<std::string> row = {key.first, key.second};
    for (const std::string& kv : formats) {
      const auto found = by_format.find(kv);
      row.push_back(found == by_format.end() ? "-" : found->second);
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

std::optional<Section> accuracy_section(const std::vector<fs::path>& places,
                                        const std::vector<std::string>& references) {
  Section section{.title = "Accuracy"};
  Scores live, shipped;
  for (const fs::path& place : places) read_folder(place / "accuracy", live);
  for (const std::string& reference : std::set(references.begin(), references.end()))
    read_folder(fs::path(find_shipped(reference)) / "accuracy", shipped);
  if (!live.rows.empty()) section.tables.push_back(table_of(live, "answered here"));
  if (!shipped.rows.empty()) section.tables.push_back(table_of(shipped, "shipped record"));
  section.sentences = live.unreadable;
  section.sentences.insert(section.sentences.end(), shipped.unreadable.begin(),
                           shipped.unreadable.end());
  if (section.tables.empty() && section.sentences.empty()) return std::nullopt;
  section.note =
      "Right answers with Wilson's 95 % interval. With exact prefill a letter read from the prompt "
      "never sees quantized values, so it cannot depend on the format.";
  return section;
}

}  // namespace kvtoll::report
