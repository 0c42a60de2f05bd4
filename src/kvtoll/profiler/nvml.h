// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// NVML opened at run time: a table of functions that a missing driver leaves empty, and one device
// read through it. Devices are matched by PCI bus id, never by index: CUDA's order is not NVML's.
// Example: if (auto gpu = NvmlDevice::open(system_nvml(), bus_id)) gpu->total_energy_mj();
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/profiler/nvml_api.h"

namespace kvtoll::profiler {

struct NvmlApi {
  nvml::Return (*init)() = nullptr;
  const char* (*error_string)(nvml::Return) = nullptr;
  nvml::Return (*driver_version)(char*, unsigned) = nullptr;
  nvml::Return (*device_count)(unsigned*) = nullptr;
  nvml::Return (*device_by_index)(unsigned, nvml::Device*) = nullptr;
  nvml::Return (*device_by_bus_id)(const char*, nvml::Device*) = nullptr;
  nvml::Return (*name)(nvml::Device, char*, unsigned) = nullptr;
  nvml::Return (*total_energy)(nvml::Device, unsigned long long*) = nullptr;  // mJ
  nvml::Return (*power_usage)(nvml::Device, unsigned*) = nullptr;             // mW
  nvml::Return (*power_limit)(nvml::Device, unsigned*) = nullptr;             // mW
  nvml::Return (*field_values)(nvml::Device, int, nvml::FieldValue*) = nullptr;
  nvml::Return (*clock)(nvml::Device, int, unsigned*) = nullptr;      // MHz
  nvml::Return (*max_clock)(nvml::Device, int, unsigned*) = nullptr;  // MHz
  nvml::Return (*temperature)(nvml::Device, int, unsigned*) = nullptr;
  nvml::Return (*clocks_event_reasons)(nvml::Device, unsigned long long*) = nullptr;
  nvml::Return (*memory)(nvml::Device, nvml::Memory*) = nullptr;
  nvml::Return (*compute_processes)(nvml::Device, unsigned*, nvml::ProcessInfo*) = nullptr;
  nvml::Return (*ecc_mode)(nvml::Device, int* current, int* pending) = nullptr;
  nvml::Return (*mig_mode)(nvml::Device, unsigned* current, unsigned* pending) = nullptr;
  nvml::Return (*persistence)(nvml::Device, int*) = nullptr;

  std::string missing;  // why the table is empty; empty when NVML is there and initialised
  std::string describe(nvml::Return code) const;
};

// The driver's library, opened and initialised once per process.
const NvmlApi& system_nvml();

class NvmlDevice {
 public:
  // bus_id "00000000:17:00.0"; empty: the only (or first) device. Errors: kMachine with the cause.
  static Result<NvmlDevice> open(const NvmlApi& api, const std::string& bus_id = "");

  std::optional<std::string> name() const;
  std::optional<uint64_t> total_energy_mj() const;
  std::optional<double> watts() const;  // instantaneous where the card has it, else NVML's average
  std::optional<double> power_limit_watts() const;
  std::optional<unsigned> clock_mhz(nvml::ClockType type) const;
  std::optional<unsigned> max_clock_mhz(nvml::ClockType type) const;
  std::optional<unsigned> celsius() const;
  std::optional<uint64_t> event_reasons() const;
  std::optional<nvml::Memory> memory() const;
  std::optional<std::vector<nvml::ProcessInfo>> processes() const;
  std::optional<bool> ecc() const;
  std::optional<bool> mig() const;
  std::optional<bool> persistence() const;
  const NvmlApi& api() const { return *api_; }

 private:
  NvmlDevice(const NvmlApi& api, nvml::Device device) : api_(&api), device_(device) {}
  const NvmlApi* api_;
  nvml::Device device_;
};

// Words for clocks-event-reason bits; `throttles` keeps only those that slow a busy device down.
std::vector<std::string> reason_names(uint64_t bits);
bool throttles(uint64_t bits);

}  // namespace kvtoll::profiler
