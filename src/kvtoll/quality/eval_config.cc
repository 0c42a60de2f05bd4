// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/eval_config.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvtoll {
namespace {

struct TaskDefaults {
  std::string_view task, mode, modes;
  bool needs_data;
  int limit;
};
constexpr TaskDefaults kTasks[] = {{"math", "generate", "generate", true, 0},
                                   {"mmlu", "letter", "letter generate cot", true, 0},
                                   {"arith", "generate", "generate", false, 500},
                                   {"facts", "letter", "letter", false, 500}};

int default_new_tokens(const EvalConfig& config) {
  if (config.mode == "letter") return 1;
  if (config.mode == "cot") return 1024;
  return config.task == "mmlu" ? 8 : 2048;
}

}  // namespace

BackendOptions values_options(BackendOptions options, const PathWish& path,
                              const std::string& backend) {
  const bool cuda = backend == "cuda";
  options.attention = path.attention.value_or(cuda ? Attention::kFused : Attention::kMaterialize);
  const bool in_place = cuda && options.attention == Attention::kFused;
  options.launch = path.launch.value_or(in_place ? Launch::kGraph : Launch::kEager);
  options.keep_decoded = in_place || !cuda;
  return options;
}

Result<EvalConfig> complete_config(EvalConfig config) {
  const auto* task = std::find_if(std::begin(kTasks), std::end(kTasks),
                                  [&](const TaskDefaults& t) { return t.task == config.task; });
  if (task == std::end(kTasks))
    return usage_error("unknown task '{}': math, mmlu, arith, facts", config.task);
  if (config.mode.empty()) config.mode = task->mode;
  if (fmt::format(" {} ", task->modes).find(" " + config.mode + " ") == std::string::npos)
    return usage_error("the task {} has no mode '{}': {}", config.task, config.mode, task->modes);
  if (task->needs_data && config.data.empty())
    return usage_error("the task {} needs its questions: --data PATH (docs/evaluating.md)",
                       config.task);
  if (config.model.empty()) return usage_error("give a model: --model NAME=PATH");
  if (config.limit < 0 || config.batch < 1 || config.samples < 1 || config.max_new_tokens < 0 ||
      config.shots < 0)
    return usage_error(
        "--limit, --max-new-tokens and --shots are at least 0, --batch and "
        "--samples at least 1");
  if (config.samples > 1 && config.sampling.greedy())
    return usage_error("--samples {} needs --temperature above 0: greedy answers are all the same",
                       config.samples);
  if (config.mode == "letter" && config.samples > 1)
    return usage_error("the mode letter reads one distribution: --samples 1");
  if (config.model_name.empty()) {
    std::string spec;
    split_model(config.model, config.model_name, spec);
    config.model = spec;
  }
  if (config.tokenizer.empty()) config.tokenizer = config.model;
  if (config.tokenizer.starts_with("synthetic:"))
    return usage_error(
        "a synthetic model has no vocabulary: give --tokenizer PATH of the model it "
        "stands for (tokenizer.json or .gguf)");
  if (config.max_new_tokens == 0) config.max_new_tokens = default_new_tokens(config);
  if (config.limit == 0) config.limit = task->limit;
  config.backend = resolve_backend(config.backend);
  config.options = values_options(config.options, config.path, config.backend);
  return config;
}

std::string eval_file_name(const EvalConfig& config) {
  const auto* task = std::find_if(std::begin(kTasks), std::end(kTasks),
                                  [&](const TaskDefaults& t) { return t.task == config.task; });
  const bool known = task != std::end(kTasks);
  std::string name =
      fmt::format("{}.{}.{}.r{}", file_name_part(config.task), file_name_part(config.model_name),
                  file_name_part(config.kv), config.residual);
  auto part = [&](bool differs, const std::string& text) {
    if (differs) name += "." + text;
  };
  part(known && config.limit != task->limit, fmt::format("l{}", config.limit));
  part(config.subset_seed != 0, fmt::format("s{}", config.subset_seed));
  part(known && config.mode != task->mode, config.mode);
  part(!config.style.empty() && config.style != "auto", file_name_part(config.style));
  part(known && config.max_new_tokens != default_new_tokens(config),
       fmt::format("n{}", config.max_new_tokens));
  part(config.options.prefill == Prefill::kQuantized, "quantized");
  part(config.shots != 5, fmt::format("x{}", config.shots));
  part(!config.sampling.greedy(), fmt::format("t{}", config.sampling.temperature));
  part(config.sampling.top_p != 1.0, fmt::format("top{}", config.sampling.top_p));
  part(config.samples != 1, fmt::format("k{}", config.samples));
  part(config.sampling.seed != 0, fmt::format("seed{}", config.sampling.seed));
  return name + "." + engine_path(config.options, config.backend) + ".json";
}

std::string file_name_part(std::string_view text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=,-";
  std::string out;
  for (char c : text)
    out += kPlain.find(c) != kPlain.npos ? std::string(1, c)
                                         : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return out;
}

std::string engine_path(const BackendOptions& options, const std::string& backend_name) {
  if (backend_name == "cpu") return "cpu";
  const bool graph = options.launch == Launch::kGraph;
  if (options.attention == Attention::kFused) return graph ? "fused" : "fused-eager";
  return graph ? "materialize-graph" : "hf";
}

void split_model(const std::string& text, std::string& name, std::string& spec) {
  const size_t equals = text.find('=');
  constexpr std::string_view kNameCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  if (equals != text.npos && equals > 0 &&
      text.substr(0, equals).find_first_not_of(kNameCharacters) == text.npos) {
    name = text.substr(0, equals);
    spec = text.substr(equals + 1);
    return;
  }
  spec = text;
  if (text.starts_with("synthetic:")) {
    name = text.substr(10);
    return;
  }
  std::filesystem::path path(text);
  if (!path.has_filename()) path = path.parent_path();
  name = path.extension() == ".gguf" ? path.stem().string() : path.filename().string();
}

}  // namespace kvtoll
