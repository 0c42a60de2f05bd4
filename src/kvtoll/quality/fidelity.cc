// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/fidelity.h"

#include <algorithm>

#include "kvtoll/core/files.h"
#include "kvtoll/engine/session.h"
#include "kvtoll/engine/step.h"
#include "kvtoll/model/tokenizer.h"
#include "kvtoll/quality/eval_config.h"
#include "kvtoll/quality/prompts.h"
#include "kvtoll/quality/tasks/arith.h"
#include "kvtoll/quality/tasks/facts.h"

namespace kvtoll {
namespace {

// A prompt that is prefilled and the text that is forced behind it.
struct Window {
  std::vector<int32_t> prompt, forced;
};

// Index of the first forced token whose distributions are compared: with exact prefill the prompt's
// own are equal by construction.
size_t first_compared(const FidelityConfig& config) {
  return config.options.prefill == Prefill::kQuantized ? 0 : 1;
}

Result<std::vector<Window>> text_windows(const FidelityConfig& config, const Tokenizer& tokenizer) {
  if (config.prompt_tokens < 1 || config.window_tokens < config.prompt_tokens + 2)
    return usage_error("a window of {} tokens leaves nothing behind a prompt of {}",
                       config.window_tokens, config.prompt_tokens);
  KVTOLL_TRY(const std::string text, read_file(config.text));
  std::vector<int32_t> ids = tokenizer.encode(text);
  const auto size = static_cast<size_t>(config.window_tokens);
  if (ids.size() < size)
    return input_error("{}: {} tokens, a window takes {}: give a longer text or --window-tokens",
                       config.text.string(), ids.size(), size);
  // Windows spread evenly over the text.
  const size_t fit = ids.size() / size;
  const size_t count = std::min<size_t>(fit, static_cast<size_t>(std::max(1, config.windows)));
  std::vector<Window> windows;
  for (size_t w = 0; w < count; ++w) {
    const auto begin = ids.begin() + static_cast<ptrdiff_t>((w * fit / count) * size);
    Window window{{begin, begin + config.prompt_tokens},
                  {begin + config.prompt_tokens, begin + config.window_tokens}};
    if (tokenizer.adds_bos() && tokenizer.bos())
      window.prompt.insert(window.prompt.begin(), *tokenizer.bos());
    windows.push_back(std::move(window));
  }
  return windows;
}

Result<std::vector<Window>> task_windows(const FidelityConfig& config, const Tokenizer& tokenizer) {
  std::vector<TaskItem> items;
  if (config.task == "arith")
    items = arith_items(TaskSplit::kTest, config.windows, 0);
  else if (config.task == "facts")
    items = facts_items(TaskSplit::kTest, config.windows, 0);
  else
    return usage_error("unknown task '{}': arith, facts", config.task);
  const size_t first = first_compared(config);
  std::vector<Window> windows;
  for (const TaskItem& item : items) {
    KVTOLL_TRY(const Prompt prompt, task_prompt(item.prompt, tokenizer, config.model));
    Window window{tokenizer.encode(prompt.text), tokenizer.encode(item.solution)};
    if (window.forced.size() > first) windows.push_back(std::move(window));
  }
  if (windows.empty())
    return usage_error(
        "the task {} is answered with one token, and exact prefill decides it without the cache: "
        "nothing to compare; add --prefill quantized, or take --task arith",
        config.task);
  return windows;
}

class Comparison {
 public:
  Comparison(const FidelityConfig& config, const FidelityHooks& hooks)
      : c_(config), hooks_(hooks) {}

  Result<std::vector<FidelityResult>> run() {
    KVTOLL_TRY(checkpoint_, open_checkpoint(c_.model));
    KVTOLL_TRY_VOID(require_weights(*checkpoint_));
    KVTOLL_TRY(const auto tokenizer,
               open_tokenizer(c_.tokenizer.empty() ? c_.model : c_.tokenizer));
    KVTOLL_TRY(windows_,
               c_.task.empty() ? text_windows(c_, *tokenizer) : task_windows(c_, *tokenizer));
    const std::string reference =
        c_.reference.empty() ? std::string(dtype_name(dtype())) : c_.reference;
    KVTOLL_TRY(reference_, backend_for(reference));
    std::vector<FidelityResult> results;
    for (const std::string& kv : c_.kv) {
      KVTOLL_TRY(tested_, backend_for(kv));
      FidelityResult result{.kv = kv};
      KVTOLL_TRY_VOID(measure(result));
      const std::string source = c_.task.empty() ? c_.text.stem().string() : c_.task;
      const bool quantized = c_.options.prefill == Prefill::kQuantized;
      result.file =
          c_.results / "fidelity" /
          fmt::format("{}.{}.{}.r{}{}.{}.json", file_name_part(source),
                      file_name_part(c_.model_name), file_name_part(kv), c_.residual,
                      quantized ? ".quantized" : "", engine_path(c_.options, tested_->info().name));
      KVTOLL_TRY_VOID(write_file_atomic(
          result.file,
          fidelity_json(c_, result, tested_->info(), static_cast<int64_t>(windows_.size()))));
      results.push_back(std::move(result));
    }
    return results;
  }

 private:
  DType dtype() const { return c_.dtype.value_or(checkpoint_->dtype()); }

  Result<std::unique_ptr<Backend>> backend_for(const std::string& kv) {
    KVTOLL_TRY(const KvPolicy policy, KvPolicy::parse(kv));
    CacheRequest request{.residual_length = c_.residual};
    KVTOLL_TRY(request.layers, policy.resolve(checkpoint_->config().layers));
    for (const Window& w : windows_) {
      const auto prompt = static_cast<int64_t>(w.prompt.size());
      const auto forced = static_cast<int64_t>(w.forced.size());
      request.max_prompt = std::max(request.max_prompt, prompt);
      request.max_tokens =
          std::max(request.max_tokens, prompt + std::max<int64_t>(forced, c_.greedy_tokens) + 1);
    }
    BackendOptions options = c_.options;
    options.weights = options.cache = dtype();
    KVTOLL_TRY(auto backend, make_backend(c_.backend, checkpoint_, options));
    KVTOLL_TRY_VOID(backend->reserve(request));
    return backend;
  }

  static Result<void> step(Backend& backend, int64_t position, std::span<const int32_t> tokens,
                           bool prefill) {
    const SlotTokens slot[] = {{0, position, tokens}};
    return run_step(backend, {.slots = slot, .prefill = prefill});
  }

  // Both caches in lockstep over the forced tokens of one window.
  Result<void> force(const Window& window, std::vector<PositionDivergence>& out) {
    for (Backend* backend : {reference_.get(), tested_.get()}) {
      backend->clear_slot(0);
      KVTOLL_TRY_VOID(step(*backend, 0, window.prompt, true));
    }
    auto position = static_cast<int64_t>(window.prompt.size());
    const auto compare = [&](size_t next, int64_t cached) {
      out.push_back(
          compare_logits(reference_->logits(0), tested_->logits(0), window.forced[next], cached));
    };
    if (first_compared(c_) == 0) compare(0, position - 1);
    for (size_t i = 0; i + 1 < window.forced.size(); ++i, ++position) {
      if (hooks_.stop && hooks_.stop())
        return make_error(ErrorKind::kInterrupted, "interrupted: fidelity keeps no partial result");
      const std::span<const int32_t> token(&window.forced[i], 1);
      for (Backend* backend : {reference_.get(), tested_.get()})
        KVTOLL_TRY_VOID(step(*backend, position, token, false));
      compare(i + 1, position);
    }
    return {};
  }

  Result<void> measure(FidelityResult& result) {
    std::vector<PositionDivergence> positions;
    int64_t total = 0;
    for (const Window& w : windows_)
      total += static_cast<int64_t>(w.forced.size() - first_compared(c_));
    for (const Window& window : windows_) {
      KVTOLL_TRY_VOID(force(window, positions));
      if (c_.greedy_tokens > 0) KVTOLL_TRY_VOID(follow_greedy(window, result));
      if (hooks_.progress)
        hooks_.progress(result.kv, static_cast<int64_t>(positions.size()), total);
    }
    result.all = summarize_divergence(positions);
    result.bins = divergence_by_position(positions);
    return {};
  }

  Result<void> follow_greedy(const Window& window, FidelityResult& result) {
    GenerateOptions options{.max_new_tokens = c_.greedy_tokens};
    if (hooks_.stop) options.on_token = [this](int32_t) { return !hooks_.stop(); };
    KVTOLL_TRY(const Generation a, Session(*reference_).generate(window.prompt, options));
    KVTOLL_TRY(const Generation b, Session(*tested_).generate(window.prompt, options));
    const auto [x, y] =
        std::mismatch(a.tokens.begin(), a.tokens.end(), b.tokens.begin(), b.tokens.end());
    result.greedy.emplace_back(x - a.tokens.begin(), x != a.tokens.end() && y != b.tokens.end());
    return {};
  }

  const FidelityConfig& c_;
  const FidelityHooks& hooks_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::vector<Window> windows_;
  std::unique_ptr<Backend> reference_, tested_;
};

}  // namespace

Result<std::vector<FidelityResult>> run_fidelity(const FidelityConfig& config,
                                                 const FidelityHooks& hooks) {
  if (config.kv.empty()) return usage_error("give at least one format: --kv int4-quanto");
  if (config.text.empty() == config.task.empty())
    return usage_error("give a text (--text FILE) or a task (--task arith)");
  if (config.windows < 1) return usage_error("--windows must be at least 1");
  FidelityConfig named = config;
  if (named.model_name.empty()) split_model(config.model, named.model_name, named.model);
  named.backend = resolve_backend(named.backend);
  named.options = values_options(named.options, named.path, named.backend);
  return Comparison(named, hooks).run();
}

}  // namespace kvtoll
