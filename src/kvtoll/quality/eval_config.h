// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What one evaluation is: task, model, KV format, prompt, sampling. Two evaluations with the same
// key are the same work; the key is in the file name's parts and in the checkpoint.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/engine/sampler.h"

namespace kvtoll {

// How values are computed, where the user has a wish. Empty: the quickest way of the backend, which
// on CUDA is a cache that holds decoded values, read in place by a captured step. `materialize`
// asks CUDA for Hugging Face's own work, kernel by kernel; the values are the same.
struct PathWish {
  std::optional<Attention> attention;
  std::optional<Launch> launch;
};
// backend: "cpu" or "cuda".
BackendOptions values_options(BackendOptions options, const PathWish& path,
                              const std::string& backend);

struct EvalConfig {
  std::string task;            // math, mmlu, arith, facts
  std::filesystem::path data;  // math and mmlu: datasets.h
  std::string model_name;      // for records and file names; empty: from `model`
  std::string model;           // what open_checkpoint takes
  std::string tokenizer;  // what open_tokenizer takes; empty: `model`. Synthetic models need one
  std::string kv = "fp16";
  int residual = 128;
  std::string backend = "auto";
  PathWish path;
  std::optional<DType> dtype;  // empty: the checkpoint's own
  BackendOptions options;      // weights and cache are set from dtype, the path from `path`
  int limit = 0;               // 0: all (500 of an embedded task)
  uint64_t subset_seed = 0;
  int max_new_tokens = 0;  // 0: the mode's default
  int batch = 8;
  std::string style = "auto";  // prompts.h
  std::string mode;            // letter, generate, cot; empty: the task's default
  int shots = 5;               // worked examples of mmlu's letter and generate modes
  Sampling sampling;
  int samples = 1;
  std::filesystem::path results = "kvtoll-results";
  bool force = false;  // do it again though it is finished
  std::vector<std::string> argv;
};

// Fills in what depends on the task and on the backend (`auto` is resolved). Errors: kUsage for
// what does not fit together.
Result<EvalConfig> complete_config(EvalConfig config);

// <task>.<model>.<kv>.r<residual>[.<part>...].<path>.json below RESULTS/accuracy; a part stands
// only where the value is not the default: l<limit>, s<subset seed>, mode, style, n<max new>,
// quantized (prefill), t<temperature>, top<p>, k<samples>, seed<seed>, x<shots>. `path` is cpu, hf,
// materialize-graph, fused-eager or fused. Characters outside A-Za-z0-9._=,- are percent-encoded.
// config: complete.
std::string eval_file_name(const EvalConfig& config);

// The pieces of such names: the engine's path, and a text with other characters percent-encoded.
std::string engine_path(const BackendOptions& options, const std::string& backend_name);
std::string file_name_part(std::string_view text);

// "NAME=SPEC" split; without NAME the last path component without its extension.
void split_model(const std::string& text, std::string& name, std::string& spec);

}  // namespace kvtoll
