// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/validate_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "kvtoll/core/files.h"

namespace kvtoll {
namespace {

namespace fs = std::filesystem;

void check_presence(const EvalRecord& record, const std::string& where,
                    std::vector<std::string>& problems) {
  std::map<std::pair<std::string, int>, int> seen;
  for (const AnswerRecord& answer : record.answers) ++seen[{answer.id, answer.sample}];
  std::set<std::string> ids(record.ids.begin(), record.ids.end());
  if (ids.size() != record.ids.size())
    problems.push_back(fmt::format("{}: an id stands twice in `ids`", where));
  for (const auto& [key, count] : seen) {
    if (count > 1)
      problems.push_back(fmt::format("{}: {} sample {} is answered {} times", where, key.first,
                                     key.second, count));
    if (ids.count(key.first) == 0)
      problems.push_back(fmt::format("{}: {} is answered, but was not asked", where, key.first));
  }
  if (record.status != "ok") return;
  for (const std::string& id : record.ids)
    for (int sample = 0; sample < record.samples; ++sample)
      if (seen.count({id, sample}) == 0)
        problems.push_back(fmt::format("{}: {} sample {} is missing", where, id, sample));
}

void check_answers(const EvalRecord& record, const std::string& where,
                   std::vector<std::string>& problems) {
  for (const AnswerRecord& answer : record.answers) {
    AnswerRecord again = answer;
    grade_answer(record.task, record.mode, again);
    auto differs = [&](bool different, const char* what) {
      if (different)
        problems.push_back(
            fmt::format("{}: {}: {} is not what its output gives (kvtoll eval "
                        "--regrade)",
                        where, answer.id, what));
    };
    differs(again.extracted != answer.extracted, "the extracted answer");
    differs(again.grade.strict != answer.grade.strict ||
                again.grade.prm800k != answer.grade.prm800k ||
                again.grade.lenient != answer.grade.lenient,
            "the verdict");
    if (answer.new_tokens < 1 || answer.quantized_tokens < 0 ||
        answer.quantized_tokens > answer.new_tokens)
      problems.push_back(fmt::format("{}: {}: impossible token counts", where, answer.id));
  }
}

}  // namespace

std::vector<std::string> validate_eval_file(const fs::path& file) {
  std::vector<std::string> problems;
  const std::string where = file.filename().string();
  const auto record = read_eval_record(file);
  if (!record) return {record.error().message};
  if (record->status != "ok" && record->reason.empty())
    problems.push_back(fmt::format("{}: status {} without a reason", where, record->status));
  check_presence(*record, where, problems);
  check_answers(*record, where, problems);
  // The counts in the file against those of its answers.
  const auto text = read_file(file);
  if (text && problems.empty() && *text != eval_record_text(*record))
    problems.push_back(
        fmt::format("{}: its accuracy, breakdown or counts do not follow from its "
                    "answers (kvtoll eval --regrade)",
                    where));
  return problems;
}

AnswerValidation validate_eval_folder(const fs::path& folder) {
  AnswerValidation out;
  std::vector<std::string>& problems = out.problems;
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
    if (entry.path().extension() == ".jsonl" || entry.path().extension() == ".partial")
      problems.push_back(fmt::format("{}: an evaluation that was cut off; run it again to finish",
                                     entry.path().filename().string()));
  }
  std::sort(files.begin(), files.end());
  std::map<std::string, std::pair<std::string, std::string>> gold, prompt;  // by question; file
  out.records = files.size();
  for (const fs::path& file : files) {
    for (std::string& problem : validate_eval_file(file)) problems.push_back(std::move(problem));
    const auto record = read_eval_record(file);
    if (!record) continue;
    const std::string where = file.filename().string();
    const std::string setting =
        record->task + "|" + record->mode + "|" + config_field(*record, "model") + "|" +
        config_field(*record, "prompt_style") + "|" + config_field(*record, "shots") + "|";
    for (const AnswerRecord& a : record->answers) {
      const auto [g, new_gold] = gold.try_emplace(record->task + "|" + a.id, a.gold, where);
      if (!new_gold && g->second.first != a.gold)
        problems.push_back(
            fmt::format("{} and {}: two reference answers for {}", g->second.second, where, a.id));
      const auto [p, new_prompt] = prompt.try_emplace(setting + a.id, a.prompt_hash, where);
      if (!new_prompt && p->second.first != a.prompt_hash)
        problems.push_back(
            fmt::format("{} and {}: two prompts for {}", p->second.second, where, a.id));
    }
  }
  return out;
}

}  // namespace kvtoll
