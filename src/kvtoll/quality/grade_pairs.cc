// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grade_pairs.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "kvtoll/core/files.h"

namespace kvtoll {
namespace {

using nlohmann::json;

json report_json(const std::string& gold, const std::string& pred, const GradeReport& report) {
  return {{"gold", gold},
          {"pred", pred},
          {"verdict",
           {{"strict", report.grade.strict},
            {"prm800k", report.grade.prm800k},
            {"lenient", report.grade.lenient}}},
          {"gold_tree", report.gold_tree},
          {"pred_tree", report.pred_tree},
          {"reason", report.reason}};
}

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Names of the verdicts that differ from what the line states.
std::string disagreements(const json& line, const Grade& grade) {
  std::string names;
  auto check = [&](const char* field, const char* name, bool verdict) {
    const auto it = line.find(field);
    if (it != line.end() && it->is_boolean() && it->get<bool>() != verdict)
      names += (names.empty() ? "" : ",") + std::string(name);
  };
  check("equal", "lenient", grade.lenient);
  check("hendrycks_is_equiv", "strict", grade.strict);
  check("prm800k", "prm800k", grade.prm800k);
  return names;
}

}  // namespace

std::string grade_report_json(const std::string& gold, const std::string& pred,
                              const GradeReport& report) {
  return dump(report_json(gold, pred, report));
}

Result<PairsSummary> grade_pairs(const std::filesystem::path& file, bool as_json) {
  KVTOLL_TRY(const std::string content, read_file(file));
  PairsSummary summary;
  std::istringstream in(content);
  int number = 0;
  for (std::string text; std::getline(in, text);) {
    ++number;
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    const json line = json::parse(text, nullptr, false);
    if (!line.is_object() || !line.contains("gold") || !line.contains("pred") ||
        !line["gold"].is_string() || !line["pred"].is_string())
      return input_error("{}:{}: not a JSON object with the texts `gold` and `pred`", file.string(),
                         number);
    const auto gold = line["gold"].get<std::string>(), pred = line["pred"].get<std::string>();
    const GradeReport report = explain_grade(gold, pred);
    const std::string wrong = disagreements(line, report.grade);
    summary.disagreements += wrong.empty() ? 0 : 1;
    ++summary.pairs;
    if (as_json) {
      json out = report_json(gold, pred, report);
      if (!wrong.empty()) out["disagrees"] = wrong;
      summary.lines += dump(out) + "\n";
    } else {
      summary.lines +=
          fmt::format("{} {} {}  {} | {}{}\n", report.grade.strict ? "S" : "-",
                      report.grade.prm800k ? "P" : "-", report.grade.lenient ? "L" : "-", gold,
                      pred, wrong.empty() ? "" : "   <- file says otherwise: " + wrong);
    }
  }
  if (!as_json)
    summary.lines +=
        fmt::format("{} pairs, {} disagree with the file\n", summary.pairs, summary.disagreements);
  return summary;
}

}  // namespace kvtoll
