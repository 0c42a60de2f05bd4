// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Bytes that really crossed the DRAM pins, through CUPTI's range profiler: one pass, no replay, in
// a run of its own whose times mean nothing. The caller marks ranges, and the device is waited for
// at both ends of each: a kernel, what a library launches for one product, a graph. Example:
//   if (counter->start(1)) { counter->begin_range(); step(); counter->end_range(); }
//   auto counts = counter->stop();
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/profiler/availability.h"

namespace kvtoll::profiler {

// What was counted in one range.
struct DramCount {
  double read_bytes = 0.0, written_bytes = 0.0;
  double time_ns = 0.0;  // waits included, clocks as they are
  int64_t bytes() const { return static_cast<int64_t>(read_bytes + written_bytes); }
};

class DramCounter {
 public:
  virtual ~DramCounter() = default;
  virtual const Availability& availability() const = 0;
  // Room for so many ranges. Errors: kMachine.
  virtual Result<void> start(size_t max_ranges) = 0;
  // Both wait for the device. Ranges do not nest.
  virtual void begin_range() = 0;
  virtual void end_range() = 0;
  // One count a range, in their order. Errors: kMachine, also for a range that failed.
  virtual Result<std::vector<DramCount>> stop() = 0;
};

// Counter permission is found out by trying: make it when the CUDA context exists. Never null.
std::unique_ptr<DramCounter> make_dram_counter();

}  // namespace kvtoll::profiler
