// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The model that evaluations ask: checkpoint, vocabulary, and a backend with the weights.
// Evaluations that differ only in the KV format share one, so that weights are loaded once.
// Example:
//   EvalModel model;  for (const EvalConfig& c : formats) KVTOLL_TRY(..., run_eval(c, {}, model));
#pragma once

#include <memory>
#include <string>

#include "kvtoll/backends/backend.h"
#include "kvtoll/model/checkpoint.h"
#include "kvtoll/model/tokenizer.h"
#include "kvtoll/quality/eval_config.h"

namespace kvtoll {

class EvalModel {
 public:
  // config: complete (complete_config). Each keeps what is open if `config` wants the same, and
  // closes it before opening another. Errors: kInput for files, kMachine and kUnsupported of
  // make_backend.
  Result<void> open_files(const EvalConfig& config);
  Result<void> open_backend(const EvalConfig& config);  // after open_files

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  Backend& backend() { return *backend_; }
  DType dtype() const { return backend_options_.weights; }

 private:
  std::string model_, tokenizer_name_, backend_name_;
  BackendOptions backend_options_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<Backend> backend_;
};

}  // namespace kvtoll
