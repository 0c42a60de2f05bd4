// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What `kvtoll run` was asked for, as written on the command line, and what it means.
// Example: KVTOLL_TRY(PreparedRun run, prepare_run({.study = "smoke"}));
#pragma once

#include <string>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/studies/eval_plan.h"
#include "kvtoll/studies/runner.h"

namespace kvtoll::studies {

struct RunRequest {
  std::string study;  // empty: what the lists below say; without them and models: demo
  std::vector<std::string> models;  // NAME=SOURCE
  std::string results = "kvtoll-results";
  std::string backend = "auto";
  std::string attention, launch;  // lists; empty: the default
  std::string kv, new_tokens, residual, batch,
      prompt_tokens;  // lists, without a study only; empty: smoke's
  std::string dtype = "fp16", prefill = "exact";
  int threads = 0;
  std::string only, order, shard, devices;
  int64_t limit = 0;  // at most so many questions of each evaluation; 0: the study's
  bool force = false, quiet = false, traces = false, prefill_energy = false;
  std::vector<std::string> argv;
};

struct PreparedRun {
  Study study;
  std::vector<Block> blocks;
  std::vector<EvalJob> evals;
  // The whole study before --only and --shard, for the completeness check.
  std::vector<Block> whole;
  std::vector<std::string> whole_accuracy;
  int64_t logical = 0;  // configurations before equal ones were merged
  RunOptions options;
  std::vector<int> devices;  // CUDA ordinals; more than one: one process each
};

// Errors: kUsage for what does not fit together, kInput for the study's file and for models that
// cannot be opened.
Result<PreparedRun> prepare_run(const RunRequest& request);

// Blocks first, then evaluations. Errors: as run_blocks and run_evals.
Result<RunOutcome> run_prepared(const PreparedRun& run);

// One line per configuration, "finished" or "to do"; what `--list` prints.
Result<std::string> list_text(const PreparedRun& run);

std::string outcome_json(const PreparedRun& run, const RunOutcome& outcome);

}  // namespace kvtoll::studies
