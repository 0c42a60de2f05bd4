// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>

#include "kvtoll/cli/command.h"
#include "kvtoll/core/build_info.h"

namespace kvtoll::cli {
namespace {

std::atomic<bool> stop_requested{false};
std::vector<std::string> arguments;

struct Command {
  const char* name;
  const char* summary;
  void (*setup)(CLI::App&, ExitCode&);
};

constexpr Command kCommands[] = {
    {"run", "run a study: a TOML file, a built-in name, or options alone", setup_run},
    {"eval", "accuracy of a model and KV format on a task", setup_eval},
    {"grade", "whether two answers are equal, by policy, and why", setup_grade},
    {"fidelity", "KL divergence, perplexity and first divergence against the fp16 cache",
     setup_fidelity},
    {"report", "summary.csv, figures, report.md and report.html of result folders", setup_report},
    {"compare", "two records or result folders side by side", setup_compare},
    {"import", "classify a PyTorch profiler trace or an Nsight Systems export", setup_import},
    {"validate", "check result folders against the schema and for completeness", setup_validate},
    {"doctor", "what this machine can measure, and how to enable what it cannot", setup_doctor},
    {"generate", "text from a model", setup_generate},
    {"tokenize", "text on stdin to token ids, --decode back", setup_tokenize},
    {"formats", "the KV formats that are built in; `formats verify FILE` checks golden tensors",
     setup_formats},
    {"models", "what a model is, and the built-in geometries", setup_models},
    {"schema", "every field of a record: name, unit, description", setup_schema},
};

}  // namespace

bool interrupted() { return stop_requested.load(); }
const std::vector<std::string>& command_line() { return arguments; }

ExitCode fail(const Error& error) {
  fmt::print(stderr, "kvtoll: {}\n", error.message);
  return error.exit_code();
}

int main(int argc, char** argv) {
  arguments.assign(argv, argv + argc);
  std::signal(SIGINT, [](int) { stop_requested = true; });
  std::signal(SIGTERM, [](int) { stop_requested = true; });
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App app("kvtoll measures what KV-cache quantization costs and what it buys.", "kvtoll");
  app.set_version_flag("--version", std::string(build_info().version) + " (" +
                                        std::string(build_info().git_revision) +
                                        (build_info().git_dirty ? ", modified)" : ")"));
  app.require_subcommand(1);
  ExitCode exit_code = 0;
  for (const Command& command : kCommands)
    command.setup(*app.add_subcommand(command.name, command.summary), exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : static_cast<int>(ErrorKind::kUsage);
  }
  return exit_code;
}

}  // namespace kvtoll::cli

int main(int argc, char** argv) { return kvtoll::cli::main(argc, argv); }
