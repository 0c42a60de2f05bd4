// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/model/summary.h"

namespace kvtoll::cli {
namespace {

struct Arguments {
  std::string model;
  bool json = false;
};

ExitCode models(const Arguments& a) {
  if (a.model.empty()) {
    fmt::print("{}", a.json ? geometries_json() : geometries_text());
    return 0;
  }
  const auto summary = summarize_model(a.model);
  if (!summary) return fail(summary.error());
  fmt::print("{}", a.json ? summary_json(*summary) : summary_text(*summary));
  return 0;
}

}  // namespace

void setup_models(CLI::App& app, ExitCode& exit_code) {
  auto a = std::make_shared<Arguments>();
  app.add_option("--model", a->model,
                 "folder, hub id, .gguf file or synthetic:GEOMETRY; without it: the built-in "
                 "geometries");
  app.add_flag("--json", a->json, "as JSON");
  app.callback([&exit_code, a] { exit_code = models(*a); });
}

}  // namespace kvtoll::cli
