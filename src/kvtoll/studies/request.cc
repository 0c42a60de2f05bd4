// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/request.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "kvtoll/core/nearest.h"
#include "kvtoll/model/checkpoint.h"
#include "kvtoll/studies/environment.h"

namespace kvtoll::studies {
namespace {

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> items;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (comma != 0) items.emplace_back(list.substr(0, comma));
    list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
  }
  return items;
}

// "256,512"; `out` stays as it is for an empty list.
Result<void> numbers(std::string_view option, std::string_view list, int64_t least,
                     std::vector<int64_t>& out) {
  if (list.empty()) return {};
  out.clear();
  for (const std::string& item : split(list)) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), value);
    if (error != std::errc() || end != item.data() + item.size() || value < least)
      return usage_error("--{} {}: \"{}\" is not a whole number of at least {}", option, list, item,
                         least);
    out.push_back(value);
  }
  return {};
}

Result<void> words(std::string_view option, const std::string& list,
                   std::span<const std::string_view> known, std::vector<std::string>& out) {
  if (list.empty()) return {};
  out = split(list);
  for (const std::string& word : out)
    if (std::ranges::find(known, word) == known.end())
      return usage_error("--{}: unknown \"{}\"{}", option, word, suggestion(word, known));
  return {};
}

// Beside Hugging Face's path, what the engine does with an exact cache; on a CPU both are one path.
MatrixPart engine_part(MatrixPart part) {
  part.kv.resize(1);
  part.attention = {"fused"};
  part.launch = {"graph"};
  return part;
}

Result<Study> study_of(const RunRequest& r) {
  const bool lists = !(r.kv + r.new_tokens + r.residual + r.batch + r.prompt_tokens).empty();
  if (!lists && (!r.study.empty() || r.models.empty())) {
    KVTOLL_TRY(Study study, load_study(r.study.empty() ? "demo" : r.study));
    if (!r.models.empty()) KVTOLL_TRY_VOID(study.set_models(r.models));
    return study;
  }
  if (!r.study.empty())
    return usage_error(
        "--kv, --new-tokens, --residual, --batch and --prompt-tokens describe a run without a "
        "study; the study {} has its own (--only picks from it)",
        r.study);
  KVTOLL_TRY(const Study smoke, load_study("smoke"));  // what is not said
  MatrixPart part = smoke.matrix.front();
  std::ranges::replace(part.kv, "fp16", r.dtype);  // the exact cache has the dtype of the run
  if (!r.kv.empty()) part.kv = split_kv_list(r.kv);
  KVTOLL_TRY_VOID(numbers("new-tokens", r.new_tokens, 2, part.new_tokens));
  KVTOLL_TRY_VOID(numbers("residual", r.residual, 0, part.residual));
  KVTOLL_TRY_VOID(numbers("batch", r.batch, 1, part.batch));
  KVTOLL_TRY_VOID(numbers("prompt-tokens", r.prompt_tokens, 1, part.prompt_tokens));
  KVTOLL_TRY(Study study, study_from_options(r.models, part));
  if (!lists && r.attention.empty() && r.launch.empty())
    study.matrix.push_back(engine_part(std::move(part)));
  return study;
}

Result<void> set_order(const RunRequest& r, Study& study) {
  static constexpr std::array<std::string_view, 2> kOrders = {"interleaved", "sequential"};
  std::vector<std::string> order;
  KVTOLL_TRY_VOID(words("order", r.order, kOrders, order));
  if (!order.empty())
    study.order = order.front() == "sequential" ? Order::kSequential : Order::kInterleaved;
  return {};
}

Result<PathChoice> path_choice(const RunRequest& r) {
  static constexpr std::array<std::string_view, 3> kBackends = {"auto", "cpu", "cuda"};
  static constexpr std::array<std::string_view, 2> kAttention = {"materialize", "fused"};
  static constexpr std::array<std::string_view, 2> kLaunch = {"eager", "graph"};
  PathChoice path;
  std::vector<std::string> backend;
  KVTOLL_TRY_VOID(words("backend", r.backend, kBackends, backend));
  if (backend.size() != 1) return usage_error("--backend: name one of auto, cpu, cuda");
  KVTOLL_TRY_VOID(words("attention", r.attention, kAttention, path.attention));
  KVTOLL_TRY_VOID(words("launch", r.launch, kLaunch, path.launch));
  path.attention_named = !r.attention.empty();
  path.launch_named = !r.launch.empty();
  path.backend = resolve_backend(backend.front());
  return path;
}

Result<RunOptions> run_options(const RunRequest& r) {
  RunOptions options;
  options.results = r.results;
  options.force = r.force;
  options.keep_traces = r.traces;
  options.prefill_energy = r.prefill_energy;
  options.quiet = r.quiet;
  options.argv = r.argv;
  options.engine.threads = r.threads;
  const auto dtype = parse_float_dtype(r.dtype);
  if (!dtype) return usage_error("--dtype {}: it is one of fp16, bf16, fp32", r.dtype);
  options.engine.weights = options.engine.cache = *dtype;
  static constexpr std::array<std::string_view, 2> kPrefill = {"exact", "quantized"};
  std::vector<std::string> prefill;
  KVTOLL_TRY_VOID(words("prefill", r.prefill, kPrefill, prefill));
  options.engine.prefill = prefill_of(r.prefill);
  return options;
}

// Before hours of measuring: can every model be opened?
Result<void> check_models(const PreparedRun& run) {
  std::set<std::string> paths;
  for (const Block& block : run.blocks) paths.insert(find_model(block.model.source));
  for (const EvalJob& job : run.evals) paths.insert(job.config.model);
  for (const std::string& path : paths) {
    KVTOLL_TRY(const auto checkpoint, open_checkpoint(path));
    KVTOLL_TRY_VOID(require_weights(*checkpoint));
  }
  return {};
}

// --only and --shard.
Result<void> select(const RunRequest& request, PreparedRun& run) {
  if (!request.only.empty()) {
    run.evals = only(std::move(run.evals), request.only);
    auto kept = only(std::move(run.blocks), request.only);
    if (!kept && run.evals.empty()) return tl::unexpected<Error>(kept.error());
    run.blocks = kept ? std::move(*kept) : std::vector<Block>();
  }
  if (!request.shard.empty()) {
    KVTOLL_TRY(const Shard shard, parse_shard(request.shard));
    run.blocks = take_shard(std::move(run.blocks), shard);
    std::vector<EvalJob> mine;
    for (size_t i = 0; i < run.evals.size(); ++i)
      if (static_cast<int>(i) % shard.count == shard.index - 1) mine.push_back(run.evals[i]);
    run.evals = std::move(mine);
  }
  return {};
}

}  // namespace

Result<PreparedRun> prepare_run(const RunRequest& request) {
  PreparedRun run;
  KVTOLL_TRY(run.options, run_options(request));
  KVTOLL_TRY(run.study, study_of(request));
  KVTOLL_TRY_VOID(set_order(request, run.study));
  if (request.limit < 0) return usage_error("--limit {}: it is at least 1", request.limit);
  if (request.limit > 0)
    for (EvalPart& part : run.study.evals)
      part.limit = part.limit > 0 ? std::min(part.limit, request.limit) : request.limit;
  KVTOLL_TRY(const PathChoice path, path_choice(request));
  run.options.backend = path.backend;
  run.blocks = expand(run.study, path, &run.logical);
  KVTOLL_TRY(run.evals, expand_evals(run.study, path, run.options));
  run.whole = run.blocks;
  for (const EvalJob& job : run.evals) run.whole_accuracy.push_back(job.file);
  KVTOLL_TRY_VOID(select(request, run));
  std::vector<int64_t> devices = {0};
  KVTOLL_TRY_VOID(numbers("devices", request.devices, 0, devices));
  run.devices.assign(devices.begin(), devices.end());
  run.options.engine.device = run.devices.front();
  KVTOLL_TRY_VOID(check_models(run));
  return run;
}

Result<RunOutcome> run_prepared(const PreparedRun& run) {
  KVTOLL_TRY_VOID(
      write_study_manifest(run.study, run.whole, run.whole_accuracy, run.options.results));
  RunOutcome outcome;
  if (!run.blocks.empty()) {
    KVTOLL_TRY(outcome, run_blocks(run.study, run.blocks, run.options));
  }
  if (outcome.interrupted())
    outcome.left += static_cast<int64_t>(run.evals.size());
  else
    KVTOLL_TRY_VOID(run_evals(run.evals, run.options, outcome));
  return outcome;
}

Result<std::string> list_text(const PreparedRun& run) {
  std::string text;
  for (const Block& block : run.blocks)
    for (const Configuration& c : block.formats) {
      const bool there = std::filesystem::exists(run.options.results / "raw" / c.file());
      text += fmt::format("{}  {}\n", there ? "finished" : "to do   ", c.label());
    }
  for (const EvalJob& job : run.evals) {
    const bool there = std::filesystem::exists(run.options.results / "accuracy" / job.file);
    text += fmt::format("{}  {}\n", there ? "finished" : "to do   ", job.label());
  }
  return text;
}

std::string outcome_json(const PreparedRun& run, const RunOutcome& outcome) {
  const nlohmann::ordered_json json = {{"study", run.study.name},
                                       {"results", run.options.results.string()},
                                       {"measured", outcome.measured},
                                       {"skipped", outcome.skipped},
                                       {"ok", outcome.ok},
                                       {"oom", outcome.oom},
                                       {"unsupported", outcome.unsupported},
                                       {"failed", outcome.failed},
                                       {"left", outcome.left},
                                       {"failures", outcome.failures}};
  return json.dump(1) + "\n";
}

}  // namespace kvtoll::studies
