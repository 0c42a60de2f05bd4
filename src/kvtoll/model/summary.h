// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What a model is, for `kvtoll models` and `kvtoll doctor`: geometry, sizes, what is stored, and
// whether text can be fed to it. Example: KVTOLL_TRY(auto summary, summarize_model(spec));
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kvtoll/model/chat.h"
#include "kvtoll/model/checkpoint.h"

namespace kvtoll {

// All weights, a tied head counted once.
int64_t parameter_count(const ModelConfig& config);
Bytes weight_bytes(const ModelConfig& config, DType dtype);
// Keys and values of one token over all layers, unquantized.
Bytes kv_bytes_per_token(const ModelConfig& config, DType dtype);

struct ModelSummary {
  ModelConfig config;
  std::string source;
  DType dtype = DType::kF16;       // the dtype most weights are stored in
  std::string weights_problem;     // empty where the weights are there
  std::vector<StoredType> stored;  // empty for synthetic
  int vocab = 0;                   // of the tokenizer; 0 where there is none
  std::optional<ChatFormat> chat;  // recognized template
  std::string tokenizer_problem;   // why there is no tokenizer or no chat format; may be empty
};

// Errors: those of open_checkpoint. A missing or broken tokenizer is part of the answer.
Result<ModelSummary> summarize_model(const std::string& spec);
std::string summary_text(const ModelSummary& summary);
std::string summary_json(const ModelSummary& summary);
// The table of synthetic_geometries().
std::string geometries_text();
std::string geometries_json();

}  // namespace kvtoll
