// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/record_parts.h"

#include <algorithm>
#include <cmath>

#include "kvtoll/core/statistics.h"

namespace kvtoll::studies {
namespace {

double per_second(double count, Nanoseconds time) {
  return time.value > 0 ? count * 1e9 / static_cast<double>(time.value) : 0.0;
}

double mean_of(const std::vector<double>& x) { return x.empty() ? 0.0 : summarize(x).mean; }

report::FitFields fit_fields(const std::vector<double>& context, const std::vector<double>& ns) {
  const bool line = context.size() >= 3 && context.front() != context.back();
  if (!line) return {.intercept_ns = mean_of(ns)};
  const LineFit fit = fit_line(context, ns);
  return {fit.intercept,
          fit.slope,
          {fit.intercept_ci95.low, fit.intercept_ci95.high},
          {fit.slope_ci95.low, fit.slope_ci95.high}};
}

report::RunSample run_fields(const TimedRun& run, const report::ConfigFields& config) {
  report::RunSample out{
      .round = run.round, .start_ns = run.start.value, .prefill_ns = run.timing.prefill.value};
  for (size_t i = 0; i < run.timing.steps.size(); ++i) {
    const StepTime& step = run.timing.steps[i];
    out.step_ns.push_back(step.time.value);
    out.decode_ns += step.time.value;
    if (step.flushed) out.flush_steps.push_back(static_cast<int64_t>(i));
  }
  const auto tokens = static_cast<double>(config.batch * (config.new_tokens - 1));
  out.decode_tok_s = per_second(tokens, Nanoseconds(out.decode_ns));
  return out;
}

void fill_latency(report::StepLatencyFields& out, const std::vector<TimedRun>& runs) {
  std::vector<double> all, context, append, append_context, flush;
  for (const TimedRun& run : runs)
    for (const StepTime& step : run.timing.steps) {
      const auto ns = static_cast<double>(step.time.value);
      const auto cached = static_cast<double>(step.context);
      all.push_back(ns);
      context.push_back(cached);
      if (step.flushed) {
        flush.push_back(ns);
      } else {
        append.push_back(ns);
        append_context.push_back(cached);
      }
    }
  if (all.empty()) return;
  out.mean_ns = mean_of(all);
  out.p50_ns = percentile(all, 50);
  out.p90_ns = percentile(all, 90);
  out.p99_ns = percentile(all, 99);
  out.max_ns = *std::ranges::max_element(all);
  out.append_steps = static_cast<int64_t>(append.size());
  out.flush_steps = static_cast<int64_t>(flush.size());
  out.append_mean_ns = mean_of(append);
  if (!flush.empty()) out.flush_mean_ns = mean_of(flush);
  out.fit = fit_fields(context, all);
  out.fit_append = fit_fields(append_context, append);
}

}  // namespace

report::Distribution distribution(std::vector<double> samples) {
  const Summary s = summarize(samples);
  return {s.mean, s.sd, {s.ci95.low, s.ci95.high}, std::move(samples)};
}

void fill_timing(report::RunRecord& record, const std::vector<TimedRun>& runs) {
  std::vector<double> decode, prefill, first;
  const auto prompt = static_cast<double>(record.config.batch * record.config.prompt_tokens);
  for (const TimedRun& run : runs) {
    record.runs.push_back(run_fields(run, record.config));
    decode.push_back(record.runs.back().decode_tok_s);
    prefill.push_back(per_second(prompt, run.timing.prefill));
    first.push_back(static_cast<double>(run.timing.prefill.value) * 1e-6);
  }
  record.throughput = {distribution(std::move(decode)), distribution(std::move(prefill)),
                       distribution(std::move(first))};
  fill_latency(record.step_latency, runs);
}

report::MemoryFields memory_fields(const MemorySplit& now, const MemorySplit& peak,
                                   Bytes framework) {
  return {.weights_bytes = now[MemoryTag::kWeights].value,
          .kv_payload_bytes = now[MemoryTag::kKvPayload].value,
          .kv_scales_bytes = now[MemoryTag::kKvScales].value,
          .kv_residual_bytes = now[MemoryTag::kKvResidual].value,
          .kv_bytes = now.kv().value,
          .workspace_bytes = now[MemoryTag::kWorkspace].value,
          .framework_bytes = framework.value,
          .peak_bytes = peak.total().value};
}

std::string warning_text(const profiler::Warning& warning) {
  const std::string text = warning.code + ": " + warning.message;
  return warning.cure.empty() ? text : fmt::format("{} ({})", text, warning.cure);
}

}  // namespace kvtoll::studies
