// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Every kernel of a run, on either backend: spans on the CPU, CUPTI's activity records on the GPU.
// Trace a run of its own: headline numbers come from untraced runs. Example:
//   auto tracer = make_kernel_tracer("cpu");
//   if (tracer->availability().available && tracer->start()) { work(); trace = tracer->stop(); }
#pragma once

#include <memory>
#include <string_view>

#include "kvtoll/core/result.h"
#include "kvtoll/profiler/availability.h"
#include "kvtoll/profiler/kernel_table.h"
#include "kvtoll/profiler/trace_data.h"

namespace kvtoll::profiler {

class KernelTracer {
 public:
  virtual ~KernelTracer() = default;
  virtual const Availability& availability() const = 0;
  virtual std::string_view method() const = 0;  // "spans" or "cupti_activity"
  // Installs itself as the trace sink. Call it with nothing running on the device. Errors: kMachine
  // when tracing is not available.
  virtual Result<void> start() = 0;
  // Waits for the device, removes the sink and returns what ran since start().
  virtual TraceData stop() = 0;
};

// backend: "cpu" or "cuda". Make it before the backend takes memory: on a GPU it reserves the
// vendor's buffers. Never null.
std::unique_ptr<KernelTracer> make_kernel_tracer(std::string_view backend);

}  // namespace kvtoll::profiler
