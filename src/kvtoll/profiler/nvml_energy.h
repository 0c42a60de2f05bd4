// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The GPU's energy counter: NVML's total energy in millijoules, which steps about every 100 ms on
// an H100, with power, clocks, temperature and throttle reasons sampled beside it.
#pragma once

#include <memory>

#include "kvtoll/profiler/energy_counter.h"
#include "kvtoll/profiler/nvml.h"

namespace kvtoll::profiler {

// device: CUDA ordinal, matched to NVML's by PCI bus id in a CUDA build.
std::unique_ptr<EnergyCounter> make_nvml_energy_counter(int device,
                                                        const NvmlApi& api = system_nvml());

// One reading of everything the card tells.
PowerSample read_sample(const NvmlDevice& device);

// The PCI bus id of a CUDA device; empty in a build without CUDA or when it cannot be asked.
std::string cuda_bus_id(int device);

}  // namespace kvtoll::profiler
