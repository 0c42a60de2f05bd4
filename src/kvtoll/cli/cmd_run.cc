// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/report/report.h"
#include "kvtoll/studies/devices.h"
#include "kvtoll/studies/request.h"

namespace kvtoll::cli {
namespace {

struct RunArguments {
  studies::RunRequest request;
  std::vector<std::string> kv;
  bool list = false, json = false;
};

ExitCode list(const studies::PreparedRun& run) {
  auto text = studies::list_text(run);
  if (!text) return fail(text.error());
  fmt::print("{}", *text);
  int64_t files = 0;
  for (const auto& block : run.blocks) files += static_cast<int64_t>(block.formats.size());
  fmt::print(stderr,
             "{}: {} logical configurations; here {} files in {} blocks and {} "
             "evaluations\n",
             run.study.name, run.logical, files, run.blocks.size(), run.evals.size());
  return 0;
}

// The summary on stdout, and report.html.
ExitCode print_report(const std::filesystem::path& results) {
  auto text = report::terminal_report(results);
  if (!text) return fail(text.error());
  fmt::print("{}\n", *text);
  auto files = report::write_report({results}, results);
  if (!files) return fail(files.error());
  for (const std::string& note : files->notes) fmt::print(stderr, "kvtoll: {}\n", note);
  fmt::print("report: {}\n", std::filesystem::absolute(files->html).string());
  return 0;
}

ExitCode on_devices(const studies::PreparedRun& run) {
  const auto code = studies::run_on_devices(run.devices, run.options.argv);
  if (!code) return fail(code.error());
  if (*code > static_cast<int>(ErrorKind::kFailed)) return *code;
  const ExitCode printed = print_report(run.options.results);
  return printed != 0 ? printed : *code;
}

ExitCode print_outcome(const studies::PreparedRun& run, const studies::RunOutcome& outcome,
                       bool json) {
  if (outcome.interrupted()) {
    fmt::print(stderr,
               "kvtoll: interrupted with {} configurations left; what is finished is kept in {}. "
               "To resume: {}\n",
               outcome.left, run.options.results.string(), fmt::join(run.options.argv, " "));
    return static_cast<ExitCode>(ErrorKind::kInterrupted);
  }
  if (json) {
    fmt::print("{}", studies::outcome_json(run, outcome));
  } else if (outcome.failed < outcome.measured + outcome.skipped) {  // else nothing to report on
    if (const ExitCode code = print_report(run.options.results); code != 0) return code;
  }
  fmt::print(stderr, "{} measured, {} finished before; {} ok, {} oom, {} unsupported, {} failed\n",
             outcome.measured, outcome.skipped, outcome.ok, outcome.oom, outcome.unsupported,
             outcome.failed);
  for (const std::string& failure : outcome.failures)
    fmt::print(stderr, "kvtoll: failed: {}\n", failure);
  return outcome.failed > 0 ? static_cast<ExitCode>(ErrorKind::kFailed) : 0;
}

ExitCode run(RunArguments& arguments) {
  for (const std::string& kv : arguments.kv)
    arguments.request.kv += (arguments.request.kv.empty() ? "" : ",") + kv;
  auto prepared = studies::prepare_run(arguments.request);
  if (!prepared) return fail(prepared.error());
  if (arguments.list) return list(*prepared);
  if (prepared->devices.size() > 1) return on_devices(*prepared);
  prepared->options.interrupted = interrupted;
  auto outcome = studies::run_prepared(*prepared);
  if (!outcome) return fail(outcome.error());
  return print_outcome(*prepared, *outcome, arguments.json);
}

void add_selection(CLI::App& app, RunArguments& a) {
  studies::RunRequest& r = a.request;
  app.add_option(
      "study", r.study,
      "a TOML file or a built-in name (default: demo; with --model: what the lists below say)");
  app.add_option(
      "--model", r.models,
      "NAME=PATH_OR_SPEC; in the place of the study's model of that name, or of all of them");
  app.add_option("--kv", a.kv, "KV formats, without a study (fp16,int8-hqq,int4-quanto)");
  app.add_option("--new-tokens", r.new_tokens, "output lengths, without a study (256)");
  app.add_option("--residual", r.residual, "residual lengths, without a study (128)");
  app.add_option("--batch", r.batch, "batch sizes, without a study (1)");
  app.add_option("--prompt-tokens", r.prompt_tokens, "prompt lengths, without a study (128)");
  app.add_option("--only", r.only, "only configurations whose name matches this pattern");
  app.add_option("--shard", r.shard, "I/N: the I-th of N equal parts");
  app.add_option("--limit", r.limit, "at most so many questions of each evaluation");
  app.add_flag("--list", a.list, "print the configurations and whether they are finished");
}

void add_machine(CLI::App& app, RunArguments& a) {
  studies::RunRequest& r = a.request;
  app.add_option("--results", r.results, "results folder")->capture_default_str();
  app.add_option("--backend", r.backend, "auto, cpu or cuda")->capture_default_str();
  app.add_option("--attention", r.attention, "list of materialize, fused");
  app.add_option("--launch", r.launch, "list of eager, graph");
  app.add_option("--dtype", r.dtype, "fp16, bf16 or fp32")->capture_default_str();
  app.add_option("--prefill", r.prefill, "exact or quantized")->capture_default_str();
  app.add_option("--threads", r.threads, "CPU threads (0: one per physical core)");
  app.add_option("--devices", r.devices, "CUDA devices; several share the work");
  app.add_option("--order", r.order, "interleaved or sequential (default: the study's)");
  app.add_flag("--force", r.force, "measure again what is finished");
  app.add_flag("--prefill-energy", r.prefill_energy,
               "measure the prompt's energy in a window of its own, about 10 s a configuration");
  app.add_flag("--traces", r.traces,
               "keep every kernel of the traced passes below RESULTS/traces, for ui.perfetto.dev");
  app.add_flag("--quiet", r.quiet, "no progress");
  app.add_flag("--json", a.json, "counts as JSON instead of the table");
}

}  // namespace

void setup_run(CLI::App& app, ExitCode& exit_code) {
  auto arguments = std::make_shared<RunArguments>();
  add_selection(app, *arguments);
  add_machine(app, *arguments);
  app.callback([&exit_code, arguments] {
    arguments->request.argv = command_line();
    exit_code = run(*arguments);
  });
}

}  // namespace kvtoll::cli
