// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The CPU's energy counter (RAPL) through Linux's powercap folder: packages, plus their DRAM zones
// where the machine has them. Intel and AMD alike. Source: Documentation/power/powercap.
#pragma once

#include <filesystem>
#include <memory>

#include "kvtoll/profiler/energy_counter.h"

namespace kvtoll::profiler {

std::unique_ptr<EnergyCounter> make_rapl_counter(
    const std::filesystem::path& powercap = "/sys/class/powercap");

}  // namespace kvtoll::profiler
