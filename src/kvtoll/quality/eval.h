// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Runs an evaluation: questions through the engine in batches whose slots are refilled, each answer
// checkpointed as soon as it is there, one record at the end. Example:
//   KVTOLL_TRY(EvalSummary s, run_eval({.task = "arith", .model = "models/scribe"}, {}));
#pragma once

#include <functional>

#include "kvtoll/quality/eval_config.h"
#include "kvtoll/quality/eval_model.h"
#include "kvtoll/quality/eval_record.h"

namespace kvtoll {

struct EvalProgress {
  int64_t done = 0, total = 0;  // answers
  int64_t correct = 0;          // lenient
  int64_t new_tokens = 0;       // of this session
  Nanoseconds elapsed;          // of this session
};

struct EvalHooks {
  std::function<void(const EvalProgress&)> progress;            // after each answer; may be empty
  std::function<void(const std::vector<std::string>&)> chosen;  // ids of a subset; may be empty
  std::function<bool()> stop;  // asked after each token; may be empty
};

struct EvalSummary {
  std::filesystem::path file;
  EvalRecord record;
  bool was_finished = false;  // nothing was left to do
  int64_t resumed = 0;        // answers taken over from an earlier run
  int64_t new_tokens = 0;     // generated now
  Nanoseconds elapsed;
};

// Errors: kUsage, kInput, kMachine as the parts give them; kInterrupted when hooks.stop said so
// (what is finished is kept). Out of memory and unsupported combinations are results: a record with
// that status.
// model: opened as needed, and left open for the next evaluation.
Result<EvalSummary> run_eval(const EvalConfig& config, const EvalHooks& hooks, EvalModel& model);
Result<EvalSummary> run_eval(const EvalConfig& config, const EvalHooks& hooks);

// A few lines for a person: accuracy with interval by policy, truncated, tokens decided by
// quantized values.
std::string eval_text(const EvalSummary& summary);
std::string eval_summary_json(const EvalSummary& summary);  // one line, without the questions

}  // namespace kvtoll
