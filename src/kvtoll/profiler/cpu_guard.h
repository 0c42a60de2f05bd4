// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Is the CPU fit to measure: frequency governor, other load, time stolen by the hypervisor, thermal
// throttling, a debugger attached. Reads Linux's /proc and /sys below `root`, so that a test can
// bring a tree of its own.
#pragma once

#include <filesystem>
#include <memory>

#include "kvtoll/profiler/machine_guard.h"

namespace kvtoll::profiler {

std::unique_ptr<MachineGuard> make_cpu_guard(const std::filesystem::path& root = "/");

}  // namespace kvtoll::profiler
