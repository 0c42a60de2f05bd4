// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The record of one evaluation: RESULTS/accuracy/*.json (schema kvtoll.eval/1), and the checkpoint
// beside it: one line per finished answer, so that a killed run goes on where it stopped.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/core/statistics.h"
#include "kvtoll/quality/eval_config.h"
#include "kvtoll/quality/grader.h"

namespace kvtoll {

inline constexpr std::string_view kEvalSchema = "kvtoll.eval/1";

// One answer. Everything that grading needs is here, so that it can be redone without the model.
struct AnswerRecord {
  std::string id;
  int sample = 0;
  std::string group;
  int level = 0;
  std::string gold;
  std::string prompt_hash;  // of the prompt's text
  int64_t prompt_tokens = 0;
  std::string output;  // as generated, special tokens skipped
  int64_t new_tokens = 0;
  int64_t quantized_tokens = 0;     // new tokens whose attention read quantized values
  bool thinking = false;            // the prompt had opened <think>
  bool stopped = false;             // ended by itself, not by the length limit
  bool truncated = false;           // cut off before an answer
  std::string extracted, method;    // answer_extraction.h
  Grade grade;                      // choice questions and arith: all three the same
  std::vector<double> letter_logp;  // mode letter of mmlu: log P of A, B, C, D
};

struct Accuracy {
  int64_t correct = 0, total = 0, truncated = 0;
  int samples = 1;  // per question
  double value() const {
    return total > 0 ? static_cast<double>(correct) / static_cast<double>(total) : 0.0;
  }
  // Wilson's interval over questions: samples of one question are not independent.
  Interval ci95() const { return wilson95(correct / samples, total / samples); }
};

struct EvalRecord {
  std::string status = "ok", reason;  // ok, oom, unsupported, interrupted
  std::string task, mode;
  std::string config_json, environment_json;  // JSON objects as text; describe() fills them
  std::vector<std::string> ids;               // the questions asked, in order
  int samples = 1;
  int64_t elapsed_ns = 0;  // of the model's work in all sessions
  std::vector<AnswerRecord> answers;

  bool by_policy() const { return task == "math"; }
  Accuracy accuracy(GradePolicy policy) const;
};

// Fills task, mode, config_json and environment_json. prefill and paths as they really ran.
void describe(const EvalConfig& config, const BackendInfo& info, DType dtype,
              const std::string& style, EvalRecord& record);

// The text of a record, and back. Errors: kInput naming file and field.
std::string eval_record_text(const EvalRecord& record);
Result<EvalRecord> read_eval_record(const std::filesystem::path& file);

// --- checkpoint: a line {"key": ...} and then one line per answer.

struct Checkpointed {
  std::vector<AnswerRecord> answers;
  int64_t elapsed_ns = 0;
};
// What an earlier run left; empty if there is no file or its key differs (then it is removed). A
// last line that was cut off is dropped from the file.
Result<Checkpointed> open_checkpoint_file(const std::filesystem::path& file,
                                          const std::string& key);
// Writes the first line if there is no file yet.
Result<void> start_checkpoint(const std::filesystem::path& file, const std::string& key);
// Appends one answer and hands it to the system before returning.
Result<void> append_answer(const std::filesystem::path& file, const AnswerRecord& answer,
                           int64_t elapsed_ns);

// Verdicts again from the output text, and whether the answer was cut off.
void grade_answer(const std::string& task, const std::string& mode, AnswerRecord& answer);
// The record that an evaluation with this configuration wrote. Errors: kInput when there is none.
Result<std::filesystem::path> finished_eval_file(const EvalConfig& config);
// Re-reads, re-grades and rewrites a record; returns it.
Result<EvalRecord> regrade_file(const std::filesystem::path& file);

std::string config_field(const EvalRecord& record, const std::string& name);  // "" if absent

}  // namespace kvtoll
