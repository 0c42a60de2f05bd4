// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/dram_counter.h"

#include <fmt/format.h>

#include <algorithm>

namespace kvtoll::profiler {
namespace {

bool is_kernel(const KernelRecord& k) {
  return !k.name.starts_with("Memcpy") && !k.name.starts_with("Memset");
}

}  // namespace

bool attach_dram(TraceData& trace, const std::vector<DramKernel>& kernels) {
  const auto traced = std::count_if(trace.kernels.begin(), trace.kernels.end(), is_kernel);
  if (static_cast<size_t>(traced) != kernels.size()) {
    trace.notes.push_back(
        fmt::format("DRAM bytes left out: the counted run launched {} kernels, the traced one {}",
                    kernels.size(), traced));
    return false;
  }
  size_t next = 0;
  for (KernelRecord& k : trace.kernels)
    if (is_kernel(k)) k.dram_bytes = kernels[next++].bytes();
  return true;
}

}  // namespace kvtoll::profiler
