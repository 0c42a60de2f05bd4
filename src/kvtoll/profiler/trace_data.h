// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What a traced run leaves behind, as plain records: kernels, steps, host API calls. Tracers fill
// it (span_collector.h, cupti_*.h), importers read it from other tools' files, kernel_table.h and
// trace_export.h consume it; tests write it by hand.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "kvtoll/core/trace.h"

namespace kvtoll::profiler {

// One execution of a kernel (or of a CPU operation). Times are on core/clock.h's clock, or on the
// importing file's own.
struct KernelRecord {
  std::string_view name;  // owned by the trace's NamePool, or a literal
  int64_t start_ns = 0;
  int64_t end_ns = 0;           // start == end == 0: the tool did not collect the time
  int64_t declared_bytes = -1;  // -1: nobody declared any
  int64_t dram_bytes = -1;      // -1: not measured
  int32_t step = -1;            // index into TraceData::steps, -1 outside
  int32_t layer = -1;
  uint32_t stream = 0;       // stream or thread, for the export
  std::string_view context;  // what the host was doing ("model.layers.0.mlp"), imports only
};

struct StepRecord {
  trace::Step step{};
  int64_t start_ns = 0;  // host: the call
  int64_t end_ns = 0;    // host: the return
};

struct ApiRecord {
  std::string_view name;  // cudaLaunchKernel, cudaGraphLaunch, ...
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  uint32_t thread = 0;
};

// Names that outlive the files they came from.
class NamePool {
 public:
  std::string_view intern(std::string_view name);

 private:
  std::deque<std::string> names_;
  std::unordered_set<std::string_view> known_;
};

struct TraceData {
  std::vector<KernelRecord> kernels;
  std::vector<StepRecord> steps;
  std::vector<ApiRecord> api;
  int64_t window_start_ns = 0;  // both 0: from the first step (or kernel) to the end of the last
  int64_t window_end_ns = 0;
  int64_t dropped = 0;             // records the tracer had no room for
  int64_t unmatched = 0;           // kernels or declared ops without a partner in the join
  std::vector<std::string> notes;  // what the reader of the table must know
  std::shared_ptr<NamePool> names = std::make_shared<NamePool>();
};

// The step (sorted by start) whose host interval holds `time_ns`; -1 if none does.
int32_t step_at(const std::vector<StepRecord>& steps, int64_t time_ns);

}  // namespace kvtoll::profiler
