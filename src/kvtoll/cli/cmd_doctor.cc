// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "kvtoll/cli/command.h"
#include "kvtoll/model/summary.h"
#include "kvtoll/profiler/doctor.h"

namespace kvtoll::cli {
namespace {

struct DoctorArguments {
  profiler::DoctorOptions options;
  std::string model;
  bool json = false;
};

ExitCode doctor(const DoctorArguments& args) {
  std::optional<ModelSummary> model;
  if (!args.model.empty()) {
    auto summary = summarize_model(args.model);
    if (!summary) return fail(summary.error());
    model = std::move(*summary);
  }
  const std::vector<profiler::Check> checks = profiler::examine_machine(args.options);
  if (args.json) {
    nlohmann::ordered_json out = {{"schema", "kvtoll.doctor/1"},
                                  {"checks", profiler::doctor_json(checks)}};
    if (model) out["model"] = nlohmann::ordered_json::parse(summary_json(*model));
    fmt::print("{}\n", out.dump(2));
    return 0;
  }
  fmt::print("{}", profiler::doctor_text(checks));
  if (model) fmt::print("\n{}", summary_text(*model));
  return 0;
}

}  // namespace

void setup_doctor(CLI::App& app, ExitCode& exit_code) {
  auto args = std::make_shared<DoctorArguments>();
  app.add_option("--model", args->model,
                 "also look at this model: folder, hub id, .gguf file or synthetic:GEOMETRY");
  app.add_option("--results", args->options.results, "where results would be written")
      ->capture_default_str();
  app.add_flag("--json", args->json, "as JSON");
  app.callback([args, &exit_code] { exit_code = doctor(*args); });
}

}  // namespace kvtoll::cli
