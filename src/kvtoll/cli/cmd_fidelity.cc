// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/cli/path_options.h"
#include "kvtoll/core/files.h"
#include "kvtoll/quality/fidelity.h"
#include "kvtoll/studies/study.h"

namespace kvtoll::cli {
namespace {

struct FidelityArguments {
  FidelityConfig config;
  std::string text, kv, results = "kvtoll-results";
  bool json = false, quiet = false;
};

ExitCode fidelity_command(FidelityArguments& a) {
  FidelityConfig& config = a.config;
  config.text = a.text;
  config.kv = studies::split_kv_list(a.kv);
  config.results = a.results;
  config.argv = command_line();
  FidelityHooks hooks{.stop = interrupted};
  if (!a.quiet)
    hooks.progress = [](const std::string& kv, int64_t done, int64_t total) {
      fmt::print(stderr, "{}: {}/{} positions\n", kv, done, total);
    };
  const auto results = run_fidelity(config, hooks);
  if (!results) return fail(results.error());
  if (!a.json) {
    fmt::print("{}", fidelity_text(*results));
    return 0;
  }
  for (const FidelityResult& r : *results) {
    const auto text = read_file(r.file);
    if (!text) return fail(text.error());
    fmt::print("{}", *text);
  }
  return 0;
}

}  // namespace

void setup_fidelity(CLI::App& app, ExitCode& exit_code) {
  auto a = std::make_shared<FidelityArguments>();
  FidelityConfig& c = a->config;
  app.add_option("--model", c.model, "[NAME=]folder, .gguf, hub id or synthetic:GEOMETRY")
      ->required();
  app.add_option("--kv", a->kv, "KV formats to compare")->required();
  app.add_option("--tokenizer", c.tokenizer, "default: the model's own");
  app.add_option("--reference", c.reference, "format to compare with; default: exact");
  app.add_option("--residual", c.residual)->capture_default_str();
  app.add_option("--text", a->text, "a text file");
  app.add_option("--task", c.task,
                 "arith (or, with --prefill quantized, facts): prompts and solutions");
  app.add_option("--windows", c.windows, "stretches of the text, or questions")
      ->capture_default_str();
  app.add_option("--window-tokens", c.window_tokens)->capture_default_str();
  app.add_option("--prompt-tokens", c.prompt_tokens, "prefilled, not measured")
      ->capture_default_str();
  app.add_option("--greedy-tokens", c.greedy_tokens, "how far greedy text is followed")
      ->capture_default_str();
  add_prefill_option(app, c.options.prefill);
  app.add_option("--backend", c.backend)->capture_default_str();
  add_path_options(app, c.path);
  add_dtype_option(app, c.dtype);
  app.add_option("--threads", c.options.threads);
  app.add_option("--results", a->results)->capture_default_str();
  app.add_flag("--json", a->json);
  app.add_flag("--quiet", a->quiet);
  app.callback([a, &exit_code] { exit_code = fidelity_command(*a); });
}

}  // namespace kvtoll::cli
