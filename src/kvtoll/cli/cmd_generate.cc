// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/cli/path_options.h"
#include "kvtoll/engine/text_job.h"

namespace kvtoll::cli {
namespace {

void print_piece(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void print_speed(const TextOutcome& out) {
  const Nanoseconds prefill = out.prefill;
  fmt::print(stderr, "kvtoll: {}: {} prompt tokens in {:.1f} ms; {} new tokens", out.info.device,
             out.prompt_tokens, static_cast<double>(prefill.value) * 1e-6,
             out.generation.tokens.size());
  if (out.generation.tokens.size() > 1)
    fmt::print(stderr, ", decode {:.1f} tok/s, {:.1f} GB/s", out.decode_tok_s(),
               gb_per_s(out.decode_bytes, out.decode));
  if (out.info.peak_gb_s > 0.0) fmt::print(stderr, " of {:.0f} GB/s", out.info.peak_gb_s);
  fmt::print(stderr, "\n");
}

ExitCode generate(const TextJob& job) {
  const auto outcome = run_text_job(job, print_piece, interrupted);
  if (!outcome) return fail(outcome.error());
  print_piece("\n");
  print_speed(*outcome);
  return outcome->interrupted ? static_cast<ExitCode>(ErrorKind::kInterrupted) : 0;
}

}  // namespace

void setup_generate(CLI::App& app, ExitCode& exit_code) {
  auto job = std::make_shared<TextJob>();
  app.add_option("--model", job->model, "folder, hub id, .gguf file or synthetic:GEOMETRY")
      ->required();
  auto* prompt = app.add_option("--prompt", job->prompt, "text, in the model's chat format");
  app.add_option("--token-ids", job->token_ids,
                 "token ids instead of text; ids are printed, end-of-sequence does not stop")
      ->delimiter(',')
      ->excludes(prompt);
  app.add_flag("--raw", job->raw, "the prompt as it is: no chat format, no bos");
  app.add_option("--max-new-tokens", job->max_new_tokens)
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--kv", job->kv, "KV format (kvtoll formats); default: exact");
  app.add_option("--residual", job->residual, "where the format does not say")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  add_dtype_option(app, job->dtype);
  app.add_option("--threads", job->options.threads, "default: one per physical core");
  app.add_option("--backend", job->backend, "auto, cpu or cuda")->capture_default_str();
  add_path_options(app, job->options);
  add_prefill_option(app, job->options.prefill);
  app.add_option("--temperature", job->sampling.temperature, "0: greedy")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", job->sampling.top_p)->check(CLI::Range(0.0, 1.0));
  app.add_option("--seed", job->sampling.seed);
  app.add_option("--logits", job->logits_file,
                 "safetensors file for the logits [steps, vocab] and ids [steps] of every step");
  app.callback([&exit_code, job] { exit_code = generate(*job); });
}

}  // namespace kvtoll::cli
