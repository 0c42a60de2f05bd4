// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Runs a study: block by block, one record file per configuration, finished ones skipped. A kill at
// any moment loses at most the block that was being measured. Example:
//   KVTOLL_TRY(RunOutcome outcome, run_blocks(study, blocks, options));
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/report/record.h"
#include "kvtoll/studies/matrix.h"
#include "kvtoll/studies/study.h"

namespace kvtoll::studies {

// A model ready to decode; tests bring their own.
using BackendMaker = std::function<Result<std::unique_ptr<Backend>>(
    const StudyModel& model, const std::string& backend, const BackendOptions& options)>;
Result<std::unique_ptr<Backend>> load_backend(const StudyModel& model, const std::string& backend,
                                              const BackendOptions& options);

struct RunOptions {
  std::filesystem::path results = "kvtoll-results";
  std::string backend = "cpu";  // resolved: cpu or cuda
  BackendOptions engine;        // attention and launch come from each block
  bool force = false;           // measure again what is finished
  bool quiet = false;
  bool keep_traces = false;       // the traced passes' events below results/traces
  bool prefill_energy = false;    // prompts in an energy window of their own
  bool measure_bandwidth = true;  // of the memory that the backend computes from, once
  std::vector<std::string> argv;
  std::function<bool()> interrupted;  // may be empty
  BackendMaker make_backend = load_backend;
};

struct RunOutcome {
  int64_t measured = 0, skipped = 0, ok = 0, oom = 0, unsupported = 0, failed = 0;
  std::vector<std::string> failures;  // "label: reason", failed ones only
  int64_t left = 0;                   // not measured, because of an interrupt
  bool interrupted() const { return left > 0; }
};

// Before anything is measured: writes what the study promises (report/results.h), so that an
// unwritable folder is an error at once. `accuracy` names the files of its evaluations.
Result<void> write_study_manifest(const Study& study, const std::vector<Block>& blocks,
                                  const std::vector<std::string>& accuracy,
                                  const std::filesystem::path& results);

// Errors: kInput for a model that cannot be read or a record that was made otherwise (another
// schema version, another model or protocol under the same name), kMachine when an output cannot
// be written; what was finished before stays.
Result<RunOutcome> run_blocks(const Study& study, const std::vector<Block>& blocks,
                              const RunOptions& options);

// Where a model's source is: core/shipped.h for a path, the specification itself otherwise.
std::string find_model(const std::string& source);

}  // namespace kvtoll::studies
