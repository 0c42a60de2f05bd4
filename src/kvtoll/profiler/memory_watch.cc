// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/memory_watch.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "kvtoll/core/clock.h"
#include "kvtoll/profiler/nvml.h"
#include "kvtoll/profiler/nvml_energy.h"

namespace kvtoll::profiler {
namespace {

// A line like "VmRSS:     1234 kB"; 0 where /proc is not there.
Bytes status_field(const std::string& key) {
  std::ifstream file("/proc/self/status");
  std::string word;
  while (file >> word) {
    if (word != key) continue;
    int64_t kib = 0;
    file >> kib;
    return Bytes(kib * 1024);
  }
  return Bytes(0);
}

}  // namespace

Bytes resident_bytes() { return status_field("VmRSS:"); }
Bytes resident_peak_bytes() { return status_field("VmHWM:"); }

MemoryWatch::MemoryWatch(std::string_view backend, int device)
    : cuda_(backend == "cuda"), device_(device), baseline_(read_machine()) {}

Bytes MemoryWatch::read_machine() const {
  if (!cuda_) return resident_bytes();
  const Result<NvmlDevice> gpu = NvmlDevice::open(system_nvml(), cuda_bus_id(device_));
  if (!gpu) return Bytes(0);
  const auto memory = gpu->memory();
  return Bytes(memory ? static_cast<int64_t>(memory->used) : 0);
}

void MemoryWatch::sample(const MemorySplit& split) {
  series_.push_back({now().value, split, read_machine()});
}

Bytes MemoryWatch::beside(const MemorySplit& split) const {
  const Bytes before = cuda_ ? baseline_ : Bytes(0);
  return std::max(Bytes(0), read_machine() - before - split.total());
}

MemoryReport MemoryWatch::report() const {
  MemoryReport report;
  report.method = cuda_ ? "nvml" : "proc_status";
  report.machine_baseline = baseline_;
  report.series = series_;
  for (const MemorySample& s : series_) {
    if (s.split.total() > report.allocated_peak) {
      report.allocated_peak = s.split.total();
      report.at_peak = s.split;
    }
    if (s.machine > report.machine_peak) {
      report.machine_peak = s.machine;
      const Bytes before = cuda_ ? baseline_ : Bytes(0);
      report.framework = std::max(Bytes(0), s.machine - before - s.split.total());
    }
  }
  return report;
}

}  // namespace kvtoll::profiler
