// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A run's memory over time and its peak explained: what the backend allocated by tag, and what lies
// beside it (`framework`: context, libraries, allocator slack) as the machine's own count minus the
// baseline. Example: MemoryWatch watch("cpu"); watch.sample(backend.memory()); watch.report();
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/memory_tag.h"

namespace kvtoll::profiler {

struct MemorySample {
  int64_t time_ns = 0;
  MemorySplit split;  // by tag
  Bytes machine;      // used by this process (CPU) or on this device (GPU); 0: not readable
};

struct MemoryReport {
  MemorySplit at_peak;     // by tag, when their sum was largest
  Bytes allocated_peak;    // that sum
  Bytes machine_baseline;  // before the run
  Bytes machine_peak;      // largest machine count seen; VmHWM on the CPU
  Bytes framework;         // machine peak - sum of the tags at that time (0 if files are mapped)
  std::string method;      // "proc_status" or "nvml"
  std::vector<MemorySample> series;
};

class MemoryWatch {
 public:
  // Takes the baseline: make it before the backend.
  explicit MemoryWatch(std::string_view backend, int device = 0);
  void sample(const MemorySplit& split);
  // What the machine counts now beside `split`: on a CPU the rest of this process, on a GPU what
  // was taken on the device since the baseline (context, modules, allocator slack). Never negative.
  Bytes beside(const MemorySplit& split) const;
  MemoryReport report() const;

 private:
  Bytes read_machine() const;
  bool cuda_;
  int device_;
  Bytes baseline_;
  std::vector<MemorySample> series_;
};

// Resident set of this process now, and its high-water mark (Linux /proc/self/status).
Bytes resident_bytes();
Bytes resident_peak_bytes();

}  // namespace kvtoll::profiler
