// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What a KV format changes before any answer is graded: the next-token distribution against the
// exact cache, teacher-forced through the decode path (so that quantized values are read), and the
// first token at which greedy decoding differs. Example:
//   KVTOLL_TRY(auto report, run_fidelity({.model = "models/scribe", .kv = {"int4-quanto"},
//                                         .text = "book.txt"}, {}));
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/quality/divergence.h"
#include "kvtoll/quality/eval_config.h"

namespace kvtoll {

struct FidelityConfig {
  std::string model_name, model;
  std::string tokenizer;        // empty: of the model
  std::vector<std::string> kv;  // each is compared with `reference`
  std::string reference;        // empty: exact in the compute dtype
  int residual = 128;
  std::string backend = "auto";
  PathWish path;
  std::optional<DType> dtype;
  BackendOptions options;
  std::filesystem::path text;  // a text file, or:
  std::string task;            // arith or facts: prompt and reference solution
  int windows = 4;             // stretches of the text, or questions of the task
  int window_tokens = 512;     // of a text's window, prompt included
  int prompt_tokens = 64;      // of a text's window: prefilled, not measured
  int greedy_tokens = 256;     // how far greedy decoding is followed; 0: not at all
  std::filesystem::path results = "kvtoll-results";
  std::vector<std::string> argv;
};

struct FidelityResult {
  std::string kv;
  DivergenceSummary all;
  std::vector<DivergenceBin> bins;
  // Per window: greedy tokens that agree before the first difference, and whether one was found.
  std::vector<std::pair<int64_t, bool>> greedy;
  std::filesystem::path file;
};

struct FidelityHooks {
  std::function<void(const std::string& kv, int64_t done, int64_t total)> progress;  // positions
  std::function<bool()> stop;
};

// One JSON per format: RESULTS/fidelity/<source>.<model>.<kv>.r<residual>[.quantized].<path>.json
// (schema kvtoll.fidelity/1). Errors: as run_eval.
Result<std::vector<FidelityResult>> run_fidelity(const FidelityConfig& config,
                                                 const FidelityHooks& hooks);

std::string fidelity_text(const std::vector<FidelityResult>& results);  // a table
std::string fidelity_json(const FidelityConfig& config, const FidelityResult& result,
                          const BackendInfo& info, int64_t windows);

}  // namespace kvtoll
