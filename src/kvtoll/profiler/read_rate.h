// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How fast the memory that a backend computes from can be read: what its kernels are compared with.
// Example: if (const auto rate = measure_read_gb_s("cuda", 0, 0)) environment.measured_gb_s =
// *rate;
#pragma once

#include <string>

#include "kvtoll/core/result.h"

namespace kvtoll::profiler {

// GB/s (1e9 bytes). "cpu": the host's memory, best of a few passes over 256 MiB on `threads`
// threads (0: all physical cores). "cuda": the device's, device/bandwidth_probe.h. Errors: kMachine
// where there is no such device, kOutOfMemory where another process has filled it.
Result<double> measure_read_gb_s(const std::string& backend, int device, int threads);

}  // namespace kvtoll::profiler
