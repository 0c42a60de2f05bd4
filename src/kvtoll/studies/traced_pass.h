// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One generation of which some windows are traced, in the record's terms: kernels, categories and
// idle, and what tracing cost. Example:
//   KVTOLL_TRY(TracedPass pass, run_traced_pass(session, prompt, 1, 256, tracer, keep_going));
//   fill_trace(record, pass);
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "kvtoll/engine/session.h"
#include "kvtoll/profiler/kernel_tracer.h"
#include "kvtoll/report/record.h"
#include "kvtoll/studies/trace_plan.h"

namespace kvtoll::studies {

struct TracedPass {
  profiler::Availability availability;
  std::vector<TraceSlice> plan;              // one per window
  std::vector<profiler::TraceData> windows;  // as many, or none when tracing is not available
  std::vector<StepTime> steps;               // every decode step of the generation
};

// Errors: those of the engine's steps, kInterrupted. A tracer that cannot start is not an error.
Result<TracedPass> run_traced_pass(Session& session, std::span<const int32_t> prompt, int batch,
                                   int new_tokens, profiler::KernelTracer& tracer,
                                   const std::function<bool(int)>& on_step);

// All windows as one trace: for per-kernel percentiles and the export; its window means nothing.
profiler::TraceData joined_traces(const std::vector<profiler::TraceData>& windows);

// kernels, categories, trace, tracing_overhead and warnings of the record.
void fill_trace(report::RunRecord& record, const TracedPass& pass);

}  // namespace kvtoll::studies
