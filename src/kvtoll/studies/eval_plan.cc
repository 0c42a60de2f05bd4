// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/eval_plan.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <set>

#include "kvtoll/quality/eval.h"
#include "kvtoll/studies/progress.h"

namespace kvtoll::studies {
namespace {

EvalConfig config_of(const EvalPart& part, const StudyModel& model, const std::string& kv,
                     const RunOptions& options) {
  EvalConfig config;
  config.task = part.task;
  config.data = part.data;
  config.model_name = model.name;
  config.model = find_model(model.source);
  config.kv = kv;
  config.residual = static_cast<int>(part.residual);
  config.backend = options.backend;
  config.dtype = options.engine.weights;
  config.options = options.engine;
  config.options.prefill = prefill_of(part.prefill);
  config.limit = static_cast<int>(part.limit);
  config.max_new_tokens = static_cast<int>(part.max_new_tokens);
  config.batch = static_cast<int>(part.batch);
  config.mode = part.mode;
  config.style = part.prompt;
  config.results = options.results;
  config.force = options.force;
  config.argv = options.argv;
  return config;
}

std::string accuracy_text(const EvalSummary& summary) {
  const EvalRecord& record = summary.record;
  if (record.status != "ok") return record.status + ": " + record.reason;
  const Accuracy a = record.accuracy(GradePolicy::kLenient);
  const Interval ci = a.ci95();
  const std::string when =
      summary.was_finished
          ? "finished before"
          : fmt::format("{:.0f} s", static_cast<double>(summary.elapsed.value) * 1e-9);
  return fmt::format("{} of {} right ({:.0f} to {:.0f} %), {}", a.correct, a.total, 100 * ci.low,
                     100 * ci.high, when);
}

void count(const EvalSummary& summary, RunOutcome& outcome) {
  ++(summary.was_finished ? outcome.skipped : outcome.measured);
  if (summary.was_finished) return;
  if (summary.record.status == "oom")
    ++outcome.oom;
  else if (summary.record.status == "unsupported")
    ++outcome.unsupported;
  else
    ++outcome.ok;
}

}  // namespace

std::string EvalJob::label() const {
  return "accuracy/" + file.substr(0, file.size() - std::string_view(".json").size());
}

Result<std::vector<EvalJob>> expand_evals(const Study& study, const PathChoice& path,
                                          const RunOptions& options) {
  std::vector<EvalJob> jobs;
  std::set<std::string> seen;
  for (const EvalPart& part : study.evals)
    for (const StudyModel& model : study.models) {
      if (!concerns(part.models, model)) continue;
      for (const std::string& kv : part.kv)
        for (const std::string& attention : path.attention)
          for (const std::string& launch : path.launch) {
            EvalConfig config = config_of(part, model, kv, options);
            if (path.attention_named) config.path.attention = attention_of(attention);
            if (path.launch_named) config.path.launch = launch_of(launch);
            KVTOLL_TRY(config, complete_config(std::move(config)));
            std::string file = eval_file_name(config);
            if (seen.insert(file).second) jobs.push_back({std::move(config), std::move(file)});
          }
    }
  return jobs;
}

std::vector<EvalJob> only(std::vector<EvalJob> jobs, const std::string& pattern) {
  std::erase_if(jobs, [&](const EvalJob& job) {
    return ::fnmatch(pattern.c_str(), job.label().c_str(), 0) != 0;
  });
  return jobs;
}

Result<void> run_evals(const std::vector<EvalJob>& jobs, const RunOptions& options,
                       RunOutcome& outcome) {
  const auto total = static_cast<int64_t>(jobs.size());
  Progress progress(total, 0, Progress::style_for(options.quiet));
  EvalModel model;  // jobs that differ in the format follow each other and share it
  for (int64_t done = 0; done < total; ++done) {
    const EvalJob& job = jobs[static_cast<size_t>(done)];
    EvalHooks hooks;
    hooks.stop = options.interrupted;
    hooks.progress = [&](const EvalProgress& p) {
      progress.status(job.label(),
                      fmt::format("{}/{} answers, {} right", p.done, p.total, p.correct));
    };
    const auto summary = run_eval(job.config, hooks, model);
    if (summary) {
      count(*summary, outcome);
      progress.finish(job.label(), accuracy_text(*summary));
      continue;
    }
    const Error& error = summary.error();
    if (error.kind == ErrorKind::kInterrupted) {
      outcome.left += total - done;
      return {};
    }
    if (error.kind == ErrorKind::kMachine) return tl::unexpected<Error>(error);
    ++outcome.measured, ++outcome.failed;
    outcome.failures.push_back(job.label() + ": " + error.message);
    progress.finish(job.label(), "failed: " + error.message);
  }
  return {};
}

}  // namespace kvtoll::studies
