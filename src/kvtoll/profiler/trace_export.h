// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One time axis for people: kernels, steps, host API calls, power, clocks and memory as Chrome
// trace JSON, which ui.perfetto.dev and chrome://tracing open. Example:
//   write_file_atomic("trace.json", chrome_trace(trace, window.samples, memory.series));
#pragma once

#include <span>
#include <string>

#include "kvtoll/profiler/energy.h"
#include "kvtoll/profiler/memory_watch.h"
#include "kvtoll/profiler/trace_data.h"

namespace kvtoll::profiler {

std::string chrome_trace(const TraceData& trace, std::span<const PowerSample> power = {},
                         std::span<const MemorySample> memory = {});

}  // namespace kvtoll::profiler
