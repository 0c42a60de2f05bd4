// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/cli/path_options.h"

#include <CLI/CLI.hpp>

namespace kvtoll::cli {

void add_path_options(CLI::App& app, PathWish& path) {
  app.add_option_function<std::string>(
         "--attention", [&path](const std::string& word) { path.attention = attention_of(word); },
         "default: the backend's quickest; materialize on CUDA: Hugging Face's own work")
      ->check(CLI::IsMember({"materialize", "fused"}));
  app.add_option_function<std::string>(
         "--launch", [&path](const std::string& word) { path.launch = launch_of(word); })
      ->check(CLI::IsMember({"eager", "graph"}));
}

}  // namespace kvtoll::cli
