// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "kvtoll/quality/eval.h"

namespace kvtoll {
namespace {

std::string accuracy_line(std::string_view name, const Accuracy& a) {
  const Interval ci = a.ci95();
  return fmt::format("  {:<9} {:>5.1f} %  [{:.1f}, {:.1f}]  {} of {}\n", name, 100 * a.value(),
                     100 * ci.low, 100 * ci.high, a.correct, a.total);
}

}  // namespace

std::string eval_text(const EvalSummary& summary) {
  const EvalRecord& record = summary.record;
  std::string text =
      fmt::format("{} {} kv={} prefill={}: {}\n", record.task, config_field(record, "model"),
                  config_field(record, "kv"), config_field(record, "prefill"), record.status);
  if (!record.reason.empty()) text += "  " + record.reason + "\n";
  if (record.by_policy()) {
    for (size_t i = 0; i < kGradePolicyNames.size(); ++i)
      text += accuracy_line(kGradePolicyNames[i], record.accuracy(static_cast<GradePolicy>(i)));
  } else {
    text += accuracy_line("accuracy", record.accuracy(GradePolicy::kLenient));
  }
  int64_t tokens = 0, quantized = 0;
  for (const AnswerRecord& a : record.answers)
    tokens += a.new_tokens, quantized += a.quantized_tokens;
  text += fmt::format("  truncated {} of {}; {} of {} new tokens decided by quantized values\n",
                      record.accuracy(GradePolicy::kLenient).truncated, record.answers.size(),
                      quantized, tokens);
  return text + "  " + summary.file.string() + (summary.was_finished ? " (was finished)\n" : "\n");
}

std::string eval_summary_json(const EvalSummary& summary) {
  auto full = nlohmann::ordered_json::parse(eval_record_text(summary.record));
  full.erase("questions");
  full.erase("ids");
  full["file"] = summary.file.string();
  full["resumed"] = summary.resumed;
  full["was_finished"] = summary.was_finished;
  return full.dump();
}

}  // namespace kvtoll
