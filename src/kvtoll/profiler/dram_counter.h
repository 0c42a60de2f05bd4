// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Bytes that really crossed the DRAM pins, through CUPTI's range profiler: one pass, no replay, in
// a run of its own whose times mean nothing (kernels are serialised). Kernel by kernel, or, where a
// CUDA graph launches them, range by range as the caller marks them. Example:
//   auto counter = make_dram_counter();
//   if (counter->start(CountBy::kKernel, 1000)) { steps(); auto kernels = counter->stop(); }
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/profiler/availability.h"

namespace kvtoll::profiler {

// What was counted in one kernel or one range, in launch order.
struct DramCount {
  double read_bytes = 0.0, written_bytes = 0.0;
  double time_ns = 0.0;  // serialised, clocks as they are
  int64_t bytes() const { return static_cast<int64_t>(read_bytes + written_bytes); }
};

enum class CountBy : uint8_t { kKernel, kRange };

class DramCounter {
 public:
  virtual ~DramCounter() = default;
  virtual const Availability& availability() const = 0;
  // Counts from now on every kernel, or what runs between begin_range() and end_range(); at most
  // max_counts of them. Errors: kMachine.
  virtual Result<void> start(CountBy by, size_t max_counts) = 0;
  // Both wait for the device. Only with CountBy::kRange; ranges do not nest.
  virtual void begin_range() = 0;
  virtual void end_range() = 0;
  // Errors: kMachine, also for a range that failed.
  virtual Result<std::vector<DramCount>> stop() = 0;
};

// Counter permission is found out by trying: make it when the CUDA context exists. Never null.
std::unique_ptr<DramCounter> make_dram_counter();

}  // namespace kvtoll::profiler
