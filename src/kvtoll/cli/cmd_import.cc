// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "kvtoll/cli/command.h"
#include "kvtoll/profiler/table_json.h"
#include "kvtoll/profiler/trace_file.h"

namespace kvtoll::cli {
namespace {

struct ImportArguments {
  std::string path;
  profiler::TraceFileOptions options;
  bool json = false;
  size_t rows = 40;
};

ExitCode import(const ImportArguments& args) {
  const auto file = profiler::read_trace_file(args.path, args.options);
  if (!file) return fail(file.error());
  const profiler::KernelTable table = profiler::build_kernel_table(file->trace);
  if (args.json) {
    nlohmann::ordered_json out = {
        {"schema", "kvtoll.import/1"},
        {"source", {{"path", args.path}, {"tool", file->tool}, {"device", file->device}}}};
    out.update(profiler::table_json(table));
    fmt::print("{}\n", out.dump(2));
    return 0;
  }
  fmt::print("{}: {}{}{}\n\n{}", args.path, file->tool, file->device.empty() ? "" : ", ",
             file->device, profiler::table_text(table, 0.0, args.rows));
  return 0;
}

}  // namespace

void setup_import(CLI::App& app, ExitCode& exit_code) {
  auto args = std::make_shared<ImportArguments>();
  app.add_option("trace", args->path,
                 "PyTorch profiler trace (.json, .json.gz) or Nsight Systems export (.sqlite)")
      ->required();
  app.add_option("--steps", args->options.steps,
                 "host ranges whose name starts with this are the steps")
      ->capture_default_str();
  app.add_option("--rows", args->rows, "kernels to print")->capture_default_str();
  app.add_flag("--json", args->json, "everything as JSON");
  app.callback([args, &exit_code] { exit_code = import(*args); });
}

}  // namespace kvtoll::cli
