// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Bytes that really crossed the DRAM pins, kernel by kernel, through CUPTI's range profiler: one
// pass, no replay, in a run of its own whose times mean nothing (kernels are serialised). Example:
//   auto counter = make_dram_counter();
//   if (counter->start(max_kernels)) { steps(); auto kernels = counter->stop(); }
//   attach_dram(trace_of_the_same_steps, *kernels);
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/profiler/availability.h"
#include "kvtoll/profiler/trace_data.h"

namespace kvtoll::profiler {

// One kernel, in launch order.
struct DramKernel {
  double read_bytes = 0.0, written_bytes = 0.0;
  double time_ns = 0.0;  // serialised, clocks as they are
  int64_t bytes() const { return static_cast<int64_t>(read_bytes + written_bytes); }
};

class DramCounter {
 public:
  virtual ~DramCounter() = default;
  virtual const Availability& availability() const = 0;
  // Counts every kernel launched from now on, at most max_kernels of them. Errors: kMachine.
  virtual Result<void> start(size_t max_kernels) = 0;
  virtual Result<std::vector<DramKernel>> stop() = 0;
};

// Counter permission is found out by trying: make it when the CUDA context exists. Never null.
std::unique_ptr<DramCounter> make_dram_counter();

// Writes each kernel's bytes into a trace of the same work (the k-th kernel launched is the k-th
// counted; copies and fills are not counted). Returns false, with a note in the trace and nothing
// changed, when the two runs launched different numbers of kernels.
bool attach_dram(TraceData& trace, const std::vector<DramKernel>& kernels);

}  // namespace kvtoll::profiler
