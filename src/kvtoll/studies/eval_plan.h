// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A study's questions: every model and format of its [[eval]] parts through quality/'s run_eval,
// which checkpoints each answer and skips what is finished.
#pragma once

#include <string>
#include <vector>

#include "kvtoll/quality/eval_config.h"
#include "kvtoll/studies/matrix.h"
#include "kvtoll/studies/runner.h"
#include "kvtoll/studies/study.h"

namespace kvtoll::studies {

struct EvalJob {
  EvalConfig config;
  std::string file;  // in RESULTS/accuracy
  std::string label() const;
};

// One job per model, format, attention and launch; a file that an earlier part has is not repeated.
// Errors: kUsage where a part does not fit its task.
Result<std::vector<EvalJob>> expand_evals(const Study& study, const PathChoice& path,
                                          const RunOptions& options);

// Jobs whose label matches the shell pattern; may be none.
std::vector<EvalJob> only(std::vector<EvalJob> jobs, const std::string& pattern);

// Adds to `outcome`. A job that fails is counted and the others go on. Errors: kMachine when an
// answer cannot be written.
Result<void> run_evals(const std::vector<EvalJob>& jobs, const RunOptions& options,
                       RunOutcome& outcome);

}  // namespace kvtoll::studies
