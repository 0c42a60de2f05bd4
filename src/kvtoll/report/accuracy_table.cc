// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/accuracy_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kvtoll/core/files.h"

namespace kvtoll::report {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string text_of(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

// accuracy = {correct, total, truncated, value, ci95}, or one of those per grading policy.
void add_rows(const Json& record, TableBlock& table) {
  const Json& config = record.at("config");
  const auto add = [&](const std::string& policy, const Json& a) {
    table.rows.push_back(
        {text_of(config, "model"), text_of(config, "task"), policy, text_of(config, "kv"),
         fmt::format("{} / {}", a.at("correct").get<int64_t>(), a.at("total").get<int64_t>()),
         fmt::format("{:.1f} %", 100.0 * a.at("value").get<double>()),
         fmt::format("{:.1f} to {:.1f} %", 100.0 * a.at("ci95").at(0).get<double>(),
                     100.0 * a.at("ci95").at(1).get<double>()),
         text_of(a, "truncated")});
  };
  const Json& accuracy = record.at("accuracy");
  if (accuracy.contains("correct")) {
    add("exact", accuracy);
    return;
  }
  for (const auto& [policy, a] : accuracy.items())
    if (a.is_object()) add(policy, a);
}

}  // namespace

std::optional<Section> accuracy_section(const std::vector<fs::path>& places) {
  Section section{.title = "Accuracy"};
  TableBlock table;
  table.text_columns = 4;
  table.header = {"model",   "task",     "graded",        "KV format",
                  "correct", "accuracy", "95 % (Wilson)", "truncated"};
  for (const fs::path& place : places) {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(place / "accuracy", ec)) {
      if (entry.path().extension() != ".json") continue;
      const auto text = read_file(entry.path());
      try {
        if (text) add_rows(Json::parse(*text), table);
      } catch (const Json::exception& error) {
        section.sentences.push_back(
            fmt::format("{} cannot be read: {}", entry.path().filename().string(), error.what()));
      }
    }
  }
  if (table.rows.empty() && section.sentences.empty()) return std::nullopt;
  std::ranges::sort(table.rows);
  if (!table.rows.empty()) section.tables.push_back(std::move(table));
  return section;
}

}  // namespace kvtoll::report
