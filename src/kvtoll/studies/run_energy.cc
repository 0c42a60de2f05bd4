// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/run_energy.h"

#include <cmath>

namespace kvtoll::studies {
namespace {

std::optional<double> finite(double x) {
  return std::isfinite(x) ? std::optional<double>(x) : std::nullopt;
}

report::EnergyPart part_fields(const profiler::EnergyResult& result) {
  report::EnergyPart out;
  out.available = result.available;
  out.reason = result.reason;
  if (!result.available) return out;
  out.window_ns = static_cast<int64_t>(result.window_s * 1e9);
  out.samples = result.counter_steps;
  out.edge_error = result.edge_error;
  out.gross_j_per_token = finite(result.gross_j_per_token);
  out.net_j_per_token = finite(result.net_j_per_token);
  out.mean_w = finite(result.gross_watts);
  return out;
}

}  // namespace

void RunEnergy::add_run(const profiler::EnergyWindow& window, const BatchTiming& timing) {
  runs_.push_back(window);
  prefill_ns_ = timing.prefill.value;
  if (timing.steps.empty()) {
    decode_.emplace_back();
    return;
  }
  const StepTime &first = timing.steps.front(), &last = timing.steps.back();
  decode_.push_back(part_of(window, first.start.value, (last.start + last.time).value));
}

void RunEnergy::drop_last_run() {
  runs_.pop_back();
  decode_.pop_back();
}

void RunEnergy::set_prompts(const profiler::EnergyWindow& window, int64_t generations) {
  prompts_ = {window};
  generations_ = generations;
}

report::EnergyFields RunEnergy::fields(const report::ConfigFields& config, double idle_before,
                                       double idle_after,
                                       std::vector<profiler::Warning>& warnings) const {
  const auto runs = static_cast<int64_t>(runs_.size());
  const auto settle = [&](const std::vector<profiler::EnergyWindow>& windows, int64_t tokens) {
    return profiler::settle_energy(joined_windows(windows), idle_before, idle_after, tokens);
  };
  const profiler::EnergyResult whole = settle(runs_, runs * config.batch * config.new_tokens);
  warnings.insert(warnings.end(), whole.warnings.begin(), whole.warnings.end());
  report::EnergyFields out;
  out.available = whole.available;
  out.reason = whole.reason;
  out.method = whole.method;
  if (!whole.available) return out;
  const report::EnergyPart part = part_fields(whole);
  out.window_ns = part.window_ns;
  out.samples = part.samples;
  out.gross_j_per_token = part.gross_j_per_token;
  out.net_j_per_token = part.net_j_per_token;
  out.mean_w = part.mean_w;
  out.idle_w = finite((idle_before + idle_after) / 2);
  out.decode = part_fields(settle(decode_, runs * config.batch * (config.new_tokens - 1)));
  if (prompts_.empty()) {
    out.prefill.reason = fmt::format(
        "the prompt takes {:.3f} s of a run; measure it in a window of its own with "
        "--prefill-energy",
        static_cast<double>(prefill_ns_) * 1e-9);
  } else {
    out.prefill = part_fields(settle(prompts_, generations_ * config.batch * config.prompt_tokens));
  }
  return out;
}

profiler::EnergyWindow joined_windows(const std::vector<profiler::EnergyWindow>& windows) {
  profiler::EnergyWindow all;
  double error_time = 0.0, sampled = 0.0;
  all.ok = !windows.empty();
  all.reason = windows.empty() ? "no run was metered" : "";
  all.edge_error = 0.0;
  for (const profiler::EnergyWindow& w : windows) {
    const auto ns = static_cast<double>(w.end_ns - w.start_ns);
    if (!w.ok && all.ok) all.ok = false, all.reason = w.reason;
    all.method = w.method;
    all.end_ns += w.end_ns - w.start_ns;
    all.steps += w.steps;
    all.step_ns = w.step_ns;
    all.aligned_ns += w.aligned_ns;
    all.aligned += w.aligned;
    all.gross += w.gross;
    error_time += w.edge_error * ns;
    sampled += w.sampled_watts * ns;
    all.samples.insert(all.samples.end(), w.samples.begin(), w.samples.end());
  }
  const auto total = static_cast<double>(all.end_ns);
  if (total > 0) {
    all.edge_error = error_time / total;
    all.sampled_watts = sampled / total;
  }
  all.long_enough = all.ok && all.edge_error <= 0.01;
  return all;
}

}  // namespace kvtoll::studies
