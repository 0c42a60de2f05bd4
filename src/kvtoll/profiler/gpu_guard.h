// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Is the GPU fit to measure: throttle reasons and clocks during a run (polled on a thread), other
// processes, ECC, MIG. Everything through NVML; without it one warning says so.
#pragma once

#include <memory>

#include "kvtoll/profiler/machine_guard.h"
#include "kvtoll/profiler/nvml.h"

namespace kvtoll::profiler {

std::unique_ptr<MachineGuard> make_gpu_guard(int device, const NvmlApi& api = system_nvml());

}  // namespace kvtoll::profiler
