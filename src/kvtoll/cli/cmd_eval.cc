// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/cli/path_options.h"
#include "kvtoll/quality/accuracy_report.h"
#include "kvtoll/quality/eval.h"
#include "kvtoll/quality/tasks/task_lines.h"
#include "kvtoll/studies/study.h"

namespace kvtoll::cli {
namespace {

struct EvalArguments {
  EvalConfig config;
  std::string data, results = "kvtoll-results", regrade, split = "test", kv = "fp16";
  int print = 0;
  bool json = false, quiet = false, wants_regrade = false;
};

// On a terminal one line that is rewritten; else a line now and then.
void show_progress(const EvalProgress& p) {
  const bool terminal = isatty(STDERR_FILENO) != 0;
  const int64_t every = std::max<int64_t>(1, p.total / 20);
  if (!terminal && p.done % every != 0 && p.done != p.total) return;
  const double seconds = static_cast<double>(p.elapsed.value) / 1e9;
  fmt::print(stderr, "{}{}/{} answers, {} right, {:.1f} tok/s, {:.0f} s{}", terminal ? "\r" : "",
             p.done, p.total, p.correct,
             seconds > 0 ? static_cast<double>(p.new_tokens) / seconds : 0.0, seconds,
             terminal && p.done != p.total ? "   " : "\n");
}

void show_ids(const std::vector<std::string>& ids, bool subset) {
  if (!subset) return;
  fmt::print(stderr, "subset of {}:", ids.size());
  for (const std::string& id : ids) fmt::print(stderr, " {}", id);
  fmt::print(stderr, "\n");
}

void print_summary(const EvalSummary& summary, bool json) {
  fmt::print("{}{}", json ? eval_summary_json(summary) : eval_text(summary), json ? "\n" : "");
  const std::string exact = json ? std::string() : against_exact(summary.file);
  if (!exact.empty()) fmt::print("  {}", exact);
}

ExitCode regrade(const std::filesystem::path& file, bool json) {
  auto record = regrade_file(file);
  if (!record) return fail(record.error());
  print_summary({.file = file, .record = *std::move(record), .was_finished = true}, json);
  return 0;
}

// One evaluation a format. Errors: kUsage, before any is run.
Result<std::vector<EvalConfig>> by_format(const EvalArguments& arguments) {
  std::vector<EvalConfig> configs;
  for (const std::string& kv : studies::split_kv_list(arguments.kv)) {
    KVTOLL_TRY_VOID(KvPolicy::parse(kv));
    configs.push_back(arguments.config);
    configs.back().kv = kv;
  }
  if (configs.empty()) return usage_error("--kv names no format; kvtoll formats lists them");
  return configs;
}

// The record that is named, or those that these evaluations would write.
ExitCode regrade_all(const EvalArguments& arguments, const std::vector<EvalConfig>& configs) {
  if (!arguments.regrade.empty()) return regrade(arguments.regrade, arguments.json);
  for (const EvalConfig& config : configs) {
    const auto file = finished_eval_file(config);
    if (!file) return fail(file.error());
    if (const ExitCode code = regrade(*file, arguments.json)) return code;
  }
  return 0;
}

ExitCode ask_all(const EvalArguments& arguments, const std::vector<EvalConfig>& configs) {
  const bool subset = configs.front().limit > 0 && !arguments.quiet;
  EvalHooks hooks{.progress = show_progress,
                  .chosen = [subset](const auto& ids) { show_ids(ids, subset); },
                  .stop = interrupted};
  if (arguments.quiet) hooks.progress = {};
  EvalModel model;
  for (const EvalConfig& config : configs) {
    const auto summary = run_eval(config, hooks, model);
    if (!summary) return fail(summary.error());
    print_summary(*summary, arguments.json);
    hooks.chosen = {};  // the same questions for every format
  }
  return 0;
}

ExitCode eval_command(EvalArguments& arguments) {
  EvalConfig& config = arguments.config;
  config.data = arguments.data;
  config.results = arguments.results;
  config.argv = command_line();
  const auto configs = by_format(arguments);
  if (!configs) return fail(configs.error());
  return arguments.wants_regrade ? regrade_all(arguments, *configs) : ask_all(arguments, *configs);
}

void add_sampling_options(CLI::App& app, EvalArguments& a) {
  app.add_option("--temperature", a.config.sampling.temperature, "0: greedy");
  app.add_option("--top-p", a.config.sampling.top_p, "nucleus sampling");
  app.add_option("--samples", a.config.samples, "answers per question");
  app.add_option("--seed", a.config.sampling.seed, "of the sampling, or of --print");
}

ExitCode print_command(const EvalArguments& a) {
  const auto text = task_lines(a.config.task, a.split, a.print, a.config.sampling.seed);
  if (!text) return fail(text.error());
  fmt::print("{}", *text);
  return 0;
}

void add_engine_options(CLI::App& app, EvalArguments& a) {
  app.add_option("--backend", a.config.backend, "auto, cpu or cuda")->capture_default_str();
  add_path_options(app, a.config.path);
  add_dtype_option(app, a.config.dtype);
  app.add_option("--threads", a.config.options.threads);
  app.add_option("--batch", a.config.batch, "sequences at once")->capture_default_str();
}

}  // namespace

void setup_eval(CLI::App& app, ExitCode& exit_code) {
  auto a = std::make_shared<EvalArguments>();
  auto* task = app.add_option("TASK", a->config.task, "math, mmlu, arith or facts");
  app.add_option("--data", a->data, "questions of math and mmlu: a file or a folder");
  app.add_option("--model", a->config.model, "[NAME=]folder, .gguf, hub id or synthetic:GEOMETRY");
  app.add_option("--tokenizer", a->config.tokenizer, "default: the model's own");
  app.add_option("--kv", a->kv, "KV formats, one after the other")->capture_default_str();
  app.add_option("--residual", a->config.residual)->capture_default_str();
  app.add_option("--limit", a->config.limit, "a stratified subset of so many questions");
  app.add_option("--subset-seed", a->config.subset_seed, "which subset");
  auto* print = app.add_option("--print", a->print,
                               "print so many questions of arith, facts or facts-statements as "
                               "JSON lines; no model needed");
  app.add_option("--split", a->split, "of --print: train, validation or test")
      ->capture_default_str();
  app.add_option("--max-new-tokens", a->config.max_new_tokens);
  add_prefill_option(app, a->config.options.prefill);
  app.add_option("--prompt", a->config.style, "auto, r1-distill, qwen25-math, minerva or simple");
  app.add_option("--mode", a->config.mode, "letter, generate or cot (mmlu)");
  app.add_option("--shots", a->config.shots, "worked examples of mmlu")->capture_default_str();
  app.add_option("--results", a->results)->capture_default_str();
  auto* regrade = app.add_option("--regrade", a->regrade,
                                 "grade again without the model: the answers of this record, or "
                                 "of the one that the other options name")
                      ->expected(0, 1);
  app.add_flag("--force", a->config.force, "ask again though the record is finished");
  app.add_flag("--quiet", a->quiet);
  app.add_flag("--json", a->json);
  add_sampling_options(app, *a);
  add_engine_options(app, *a);
  app.callback([a, task, regrade, print, &exit_code] {
    if (task->count() == 0 && regrade->count() == 0) {
      exit_code = fail({ErrorKind::kUsage, "give a task (math, mmlu, arith, facts) or --regrade"});
      return;
    }
    if (print->count() > 0) {
      exit_code = print_command(*a);
      return;
    }
    a->wants_regrade = regrade->count() > 0;
    exit_code = eval_command(*a);
  });
}

}  // namespace kvtoll::cli
