// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/cli/path_options.h"

#include <CLI/CLI.hpp>

namespace kvtoll::cli {

namespace {

template <class Path>
void add_path(CLI::App& app, Path& path, const char* attention) {
  app.add_option_function<std::string>(
         "--attention", [&path](const std::string& word) { path.attention = attention_of(word); },
         attention)
      ->check(CLI::IsMember({"materialize", "fused"}));
  app.add_option_function<std::string>(
         "--launch", [&path](const std::string& word) { path.launch = launch_of(word); },
         "one launch at a time, or captured steps")
      ->check(CLI::IsMember({"eager", "graph"}));
}

}  // namespace

void add_path_options(CLI::App& app, PathWish& path) {
  add_path(app, path,
           "default: the backend's quickest; materialize on CUDA: Hugging Face's own work");
}
void add_path_options(CLI::App& app, BackendOptions& options) {
  add_path(app, options, "default: materialize, on CUDA Hugging Face's own work");
}

void add_prefill_option(CLI::App& app, Prefill& prefill) {
  app.add_option_function<std::string>(
         "--prefill", [&prefill](const std::string& word) { prefill = prefill_of(word); },
         "what the prompt's own attention reads")
      ->check(CLI::IsMember({"exact", "quantized"}));
}

void add_dtype_option(CLI::App& app, std::optional<DType>& dtype) {
  app.add_option_function<std::string>(
         "--dtype", [&dtype](const std::string& word) { dtype = parse_float_dtype(word); },
         "compute type; default: the model's own")
      ->check(CLI::IsMember({"fp16", "bf16", "fp32"}));
}

}  // namespace kvtoll::cli
