// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// From a reply's text to verdicts; the same for a live answer and for --regrade.
#include "kvtoll/quality/answer_extraction.h"
#include "kvtoll/quality/eval_record.h"

namespace kvtoll {

void grade_answer(const std::string& task, const std::string& mode, AnswerRecord& answer) {
  if (task == "mmlu" || task == "facts") {
    answer.extracted = extract_letter(answer.output);
    answer.method = answer.extracted.empty() ? "none" : "letter";
    const bool right = !answer.extracted.empty() && answer.extracted == answer.gold;
    answer.grade = {right, right, right};
    answer.truncated = mode == "cot" && !answer.stopped && answer.extracted.empty();
    return;
  }
  const ExtractedAnswer found = extract_answer(answer.output, answer.thinking);
  answer.extracted = found.text;
  answer.method = found.method;
  // A reply that ran into the limit counts as cut off unless it had already boxed its answer.
  answer.truncated = !answer.stopped && (found.thought_open || found.method != "boxed");
  if (task == "arith") {
    const bool right = !found.text.empty() && found.text == answer.gold;
    answer.grade = {right, right, right};
  } else {
    answer.grade = found.text.empty() ? Grade{} : grade(answer.gold, found.text);
  }
}

Result<std::filesystem::path> finished_eval_file(const EvalConfig& config) {
  std::filesystem::path file;
  for (const char* backend : {"cuda", "cpu"}) {  // auto: a machine without the GPU grades as well
    if (config.backend != "auto" && config.backend != backend) continue;
    EvalConfig there = config;
    there.backend = backend;
    KVTOLL_TRY(there, complete_config(std::move(there)));
    file = there.results / "accuracy" / eval_file_name(there);
    if (std::filesystem::exists(file)) return file;
  }
  return input_error("no record {} to grade again: run the evaluation first, or name a file",
                     file.string());
}

}  // namespace kvtoll
