// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/eval_model.h"

namespace kvtoll {

Result<void> EvalModel::open_files(const EvalConfig& config) {
  if (!checkpoint_ || model_ != config.model) {
    backend_.reset();
    checkpoint_.reset();
    KVTOLL_TRY(checkpoint_, open_checkpoint(config.model));
    model_ = config.model;
  }
  KVTOLL_TRY_VOID(require_weights(*checkpoint_));
  if (!tokenizer_ || tokenizer_name_ != config.tokenizer) {
    KVTOLL_TRY(tokenizer_, open_tokenizer(config.tokenizer));
    tokenizer_name_ = config.tokenizer;
  }
  return {};
}

Result<void> EvalModel::open_backend(const EvalConfig& config) {
  BackendOptions options = config.options;
  options.weights = options.cache = config.dtype.value_or(checkpoint_->dtype());
  if (backend_ && backend_name_ == config.backend && backend_options_ == options) return {};
  backend_.reset();
  KVTOLL_TRY(backend_, make_backend(config.backend, checkpoint_, options));
  backend_name_ = config.backend;
  backend_options_ = options;
  return {};
}

}  // namespace kvtoll
