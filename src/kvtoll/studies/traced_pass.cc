// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/traced_pass.h"

#include <algorithm>

#include "kvtoll/core/statistics.h"

namespace kvtoll::studies {
namespace {

using profiler::KernelTable;
using profiler::TraceData;

// Starts and stops the tracer between steps, as planned.
class WindowSwitch {
 public:
  WindowSwitch(profiler::KernelTracer& tracer, TracedPass& pass) : tracer_(tracer), pass_(pass) {}
  ~WindowSwitch() {
    if (on_) tracer_.stop();  // the generation failed inside a window
  }
  WindowSwitch(const WindowSwitch&) = delete;
  WindowSwitch& operator=(const WindowSwitch&) = delete;

  void after_step(int64_t done) {
    if (on_ && done == pass_.plan[next_].end) {
      pass_.windows.push_back(tracer_.stop());
      on_ = false;
      ++next_;
    }
    if (!on_ && !failed_ && next_ < pass_.plan.size() && done == pass_.plan[next_].begin) {
      if (auto started = tracer_.start(); !started) {
        failed_ = true;
        pass_.availability = {false, started.error().message, ""};
      } else {
        on_ = true;
      }
    }
  }

 private:
  profiler::KernelTracer& tracer_;
  TracedPass& pass_;
  size_t next_ = 0;
  bool on_ = false, failed_ = false;
};

report::TraceWindow window_fields(const KernelTable& table, const TraceSlice& slice,
                                  const TracedPass& pass) {
  report::TraceWindow out;
  out.at = slice.at;
  out.context = pass.steps[static_cast<size_t>(slice.begin)].context;
  out.steps = slice.end - slice.begin;
  out.window_ns = table.window.value;
  out.busy_ns = table.busy.value;
  out.overlap_ns = table.overlap.value;
  out.launches = table.launches;
  out.host_api_ns = table.host_api.value;
  for (const profiler::KernelRow& row : table.kernels)
    if (row.declared) out.declared_bytes += row.declared->value;
  for (size_t i = 0; i < table.categories.size(); ++i)
    out.category_ns[std::string(profiler::kCategoryNames[i])] = table.categories[i].time.value;
  out.category_ns["idle"] = table.idle.time.value;
  return out;
}

void fill_kernels(report::RunRecord& record, const KernelTable& table) {
  for (const profiler::KernelRow& row : table.kernels) {
    report::KernelRow out{.name = row.name,
                          .category = std::string(profiler::category_name(row.category)),
                          .part = row.part,
                          .calls = row.calls,
                          .time_ns = row.total.value,
                          .declared_bytes = row.declared ? row.declared->value : 0,
                          .mean_ns = row.mean_ns,
                          .p50_ns = row.p50_ns,
                          .p99_ns = row.p99_ns,
                          .gb_s = row.gb_s};
    if (row.dram) out.measured_dram_bytes = row.dram->value;
    record.kernels.push_back(std::move(out));
  }
  if (!table.unknown.empty())
    record.warnings.push_back(fmt::format("kernels without a category: {}", table.unknown.front()));
}

void fill_categories(report::RunRecord& record) {
  int64_t window_ns = 0;
  for (const std::string_view name : report::kCategories) record.categories[std::string(name)] = {};
  for (const report::TraceWindow& window : record.trace) {
    window_ns += window.window_ns;
    for (const auto& [name, ns] : window.category_ns) record.categories[name].time_ns += ns;
  }
  for (auto& [name, time] : record.categories)
    time.share =
        window_ns > 0 ? static_cast<double>(time.time_ns) / static_cast<double>(window_ns) : 0.0;
}

// Medians of append steps, so that neither a flush nor a hiccup of the host decides.
void fill_overhead(report::TracingOverhead& out, const TracedPass& pass) {
  std::vector<double> traced, untraced;
  const auto total = static_cast<int64_t>(pass.steps.size());
  const auto beside = untraced_neighbours(pass.plan, total);
  const auto take = [&](int64_t i, std::vector<double>& to, int64_t& sum) {
    const StepTime& step = pass.steps[static_cast<size_t>(i)];
    if (step.flushed) return;
    to.push_back(static_cast<double>(step.time.value));
    sum += step.time.value;
  };
  for (const TraceSlice& slice : pass.plan)
    for (int64_t i = slice.begin; i < slice.end; ++i) take(i, traced, out.traced_ns);
  for (int64_t i = 0; i < total; ++i)
    if (beside[static_cast<size_t>(i)]) take(i, untraced, out.untraced_ns);
  out.steps = static_cast<int64_t>(traced.size());
  out.available = !traced.empty() && !untraced.empty();
  if (!out.available) {
    out.reason = "too few steps without a flush";
    return;
  }
  const double base = percentile(untraced, 50);
  out.slowdown = base > 0 ? percentile(traced, 50) / base - 1.0 : 0.0;
}

}  // namespace

TraceData joined_traces(const std::vector<TraceData>& windows) {
  TraceData all;
  for (const TraceData& window : windows) {
    const auto offset = static_cast<int32_t>(all.steps.size());
    for (profiler::KernelRecord kernel : window.kernels) {
      kernel.name = all.names->intern(kernel.name);
      if (kernel.step >= 0) kernel.step += offset;
      all.kernels.push_back(kernel);
    }
    for (profiler::ApiRecord call : window.api) {
      call.name = all.names->intern(call.name);
      all.api.push_back(call);
    }
    all.steps.insert(all.steps.end(), window.steps.begin(), window.steps.end());
  }
  return all;
}

Result<TracedPass> run_traced_pass(Session& session, std::span<const int32_t> prompt, int batch,
                                   int new_tokens, profiler::KernelTracer& tracer,
                                   const std::function<bool(int)>& on_step) {
  TracedPass pass;
  pass.availability = tracer.availability();
  pass.plan = plan_trace(new_tokens - 1);
  if (!pass.availability.available) return pass;
  WindowSwitch windows(tracer, pass);
  std::vector<int64_t> edges;
  for (const TraceSlice& slice : pass.plan) edges.insert(edges.end(), {slice.begin, slice.end});
  const auto after_step = [&](int done) {
    windows.after_step(done);
    return !on_step || on_step(done);
  };
  KVTOLL_TRY(BatchTiming timing,
             session.generate_fixed(prompt, batch, new_tokens, after_step, edges));
  pass.steps = std::move(timing.steps);
  return pass;
}

void fill_trace(report::RunRecord& record, const TracedPass& pass) {
  for (const std::string_view name : report::kCategories) record.categories[std::string(name)] = {};
  if (!pass.availability.available || pass.windows.size() != pass.plan.size() ||
      pass.windows.empty()) {
    record.tracing_overhead.reason =
        pass.availability.reason.empty() ? "too few steps to trace" : pass.availability.reason;
    record.warnings.push_back("no kernel trace: " + record.tracing_overhead.reason);
    return;
  }
  for (size_t i = 0; i < pass.windows.size(); ++i)
    record.trace.push_back(
        window_fields(profiler::build_kernel_table(pass.windows[i]), pass.plan[i], pass));
  const TraceData all = joined_traces(pass.windows);
  fill_kernels(record, profiler::build_kernel_table(all));
  fill_categories(record);
  fill_overhead(record.tracing_overhead, pass);
}

}  // namespace kvtoll::studies
