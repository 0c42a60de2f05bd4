// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A study: which models, KV formats and lengths are compared, and how. It comes from a TOML file, a
// built-in name or options alone. Example:
//   KVTOLL_TRY(Study study, load_study("core"));  study.set_models({"qwen=/models/qwen"});
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/report/record_name.h"

namespace kvtoll::studies {

struct StudyModel {
  std::string name;    // stands in file names
  std::string source;  // path, hub id, .gguf or synthetic: specification
  bool operator==(const StudyModel&) const = default;
};

enum class Order : uint8_t { kInterleaved, kSequential };
constexpr std::string_view order_name(Order order) {
  return order == Order::kInterleaved ? "interleaved" : "sequential";
}

// Every combination of its lists is a configuration. An empty list of models means all of the
// study; empty attention or launch lists leave the choice to the backend (Options in runner.h).
struct MatrixPart {
  std::vector<std::string> models, kv;
  std::vector<int64_t> new_tokens;
  std::vector<int64_t> residual = {report::kDefaultResidual};
  std::vector<int64_t> batch = {1};
  std::vector<int64_t> prompt_tokens = {report::kDefaultPromptTokens};
  std::vector<std::string> attention, launch;
};

// Questions to answer, for every model and format (quality/).
struct EvalPart {
  std::vector<std::string> models, kv;
  std::string task;  // arith, facts, math, mmlu
  std::string data;  // path, for math and mmlu
  std::string prefill = "exact";
  int64_t limit = 0;           // 0: all
  int64_t max_new_tokens = 0;  // 0: the task's own
  int64_t residual = report::kDefaultResidual;
  int64_t batch = 8;
  std::string mode, prompt = "auto";  // of quality/; empty: the task's own
};

struct Study {
  std::string name;   // of the built-in or the file, without folder and ending
  std::string title;  // for the report
  std::vector<StudyModel> models;
  int64_t warmups = 2, runs = 3;
  Order order = Order::kInterleaved;
  std::vector<MatrixPart> matrix;
  std::vector<EvalPart> evals;
  // Accuracy records that ship with the project, shown beside this study's own; empty: none.
  std::string reference;

  // Each NAME=SOURCE (or SOURCE alone) replaces the source of the study's model of that name.
  // Models of which the study knows none take the places of its own, the last one also of those
  // left over
  // (`kvtoll run core --model m=PATH`). Errors: kUsage for a mixture, for a name that is nearly one
  // of the study's, and for more models than it has.
  Result<void> set_models(const std::vector<std::string>& options);
};

// Whether a part with this list of models has the model: an empty list means all of the study's.
bool concerns(const std::vector<std::string>& models, const StudyModel& model);

// A file that ends in .toml or has a folder in its name, otherwise a built-in name. Errors: kUsage
// for an unknown name (with the nearest), kInput for a file, with line.
Result<Study> load_study(const std::string& name_or_path);
Result<Study> parse_study(std::string_view toml, const std::string& name, const std::string& where);

// A study made of options alone (`kvtoll run --model m=PATH --kv fp16 --new-tokens 64`).
Result<Study> study_from_options(const std::vector<std::string>& models, MatrixPart part);

struct BuiltinStudy {
  std::string_view name, toml;
};
const std::vector<BuiltinStudy>& builtin_studies();  // studies/*.toml of the source, embedded

// Splits a list of KV specifications at the commas that are not inside one:
// "fp16,int4-quanto:group=32,axis=-1@0,-1=fp16" -> two. Empty pieces are dropped.
std::vector<std::string> split_kv_list(std::string_view list);

}  // namespace kvtoll::studies
