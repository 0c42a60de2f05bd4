// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/nvml.h"

#include <dlfcn.h>

#include <array>

namespace kvtoll::profiler {
namespace {

template <class Function>
void load(void* library, Function& slot, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if ((slot = reinterpret_cast<Function>(dlsym(library, name)))) return;
}

NvmlApi open_system_nvml() {
  NvmlApi api;
  void* library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    api.missing = "libnvidia-ml.so.1 is not installed (no NVIDIA driver)";
    return api;
  }
  load(library, api.init, {"nvmlInit_v2"});
  load(library, api.error_string, {"nvmlErrorString"});
  load(library, api.driver_version, {"nvmlSystemGetDriverVersion"});
  load(library, api.device_count, {"nvmlDeviceGetCount_v2"});
  load(library, api.device_by_index, {"nvmlDeviceGetHandleByIndex_v2"});
  load(library, api.device_by_bus_id, {"nvmlDeviceGetHandleByPciBusId_v2"});
  load(library, api.name, {"nvmlDeviceGetName"});
  load(library, api.total_energy, {"nvmlDeviceGetTotalEnergyConsumption"});
  load(library, api.power_usage, {"nvmlDeviceGetPowerUsage"});
  load(library, api.power_limit, {"nvmlDeviceGetEnforcedPowerLimit"});
  load(library, api.field_values, {"nvmlDeviceGetFieldValues"});
  load(library, api.clock, {"nvmlDeviceGetClockInfo"});
  load(library, api.max_clock, {"nvmlDeviceGetMaxClockInfo"});
  load(library, api.temperature, {"nvmlDeviceGetTemperature"});
  load(library, api.clocks_event_reasons,
       {"nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"});
  load(library, api.memory, {"nvmlDeviceGetMemoryInfo"});
  load(library, api.compute_processes,
       {"nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"});
  load(library, api.ecc_mode, {"nvmlDeviceGetEccMode"});
  load(library, api.mig_mode, {"nvmlDeviceGetMigMode"});
  load(library, api.persistence, {"nvmlDeviceGetPersistenceMode"});
  if (!api.init || !api.device_count || !api.device_by_index) {
    api.missing = "libnvidia-ml.so.1 lacks the functions of NVML 5 or newer";
    return api;
  }
  if (const nvml::Return code = api.init(); code != nvml::kSuccess)
    api.missing = fmt::format("nvmlInit failed: {}", api.describe(code));
  return api;
}

// Calls `function` if the driver has it; empty when it is missing or fails.
template <class T, class Function, class... Args>
std::optional<T> ask(Function function, nvml::Device device, Args... args) {
  T value{};
  if (!function || function(device, args..., &value) != nvml::kSuccess) return std::nullopt;
  return value;
}

constexpr uint64_t kThrottling = nvml::kReasonSoftwarePowerCap | nvml::kReasonHardwareSlowdown |
                                 nvml::kReasonSoftwareThermal | nvml::kReasonHardwareThermal |
                                 nvml::kReasonPowerBrake;

}  // namespace

std::string NvmlApi::describe(nvml::Return code) const {
  return error_string ? fmt::format("{} ({})", error_string(code), code)
                      : fmt::format("NVML error {}", code);
}

const NvmlApi& system_nvml() {
  static const NvmlApi api = open_system_nvml();
  return api;
}

Result<NvmlDevice> NvmlDevice::open(const NvmlApi& api, const std::string& bus_id) {
  if (!api.missing.empty()) return machine_error("NVML is not available: {}", api.missing);
  nvml::Device device = nullptr;
  nvml::Return code = nvml::kSuccess;
  if (!bus_id.empty() && api.device_by_bus_id) {
    code = api.device_by_bus_id(bus_id.c_str(), &device);
  } else {
    code = api.device_by_index(0, &device);
  }
  if (code != nvml::kSuccess)
    return machine_error("NVML does not know the device {}: {}", bus_id.empty() ? "0" : bus_id,
                         api.describe(code));
  return NvmlDevice(api, device);
}

std::optional<std::string> NvmlDevice::name() const {
  std::array<char, 96> text{};
  if (!api_->name || api_->name(device_, text.data(), text.size()) != nvml::kSuccess)
    return std::nullopt;
  return std::string(text.data());
}

std::optional<uint64_t> NvmlDevice::total_energy_mj() const {
  return ask<unsigned long long>(api_->total_energy, device_);
}

std::optional<double> NvmlDevice::watts() const {
  if (api_->field_values) {
    nvml::FieldValue field{};
    field.field_id = nvml::kFieldPowerInstant;
    if (api_->field_values(device_, 1, &field) == nvml::kSuccess &&
        field.result == nvml::kSuccess && field.value.ui > 0)
      return field.value.ui * 1e-3;
  }
  const auto mw = ask<unsigned>(api_->power_usage, device_);
  return mw ? std::optional<double>(*mw * 1e-3) : std::nullopt;
}

std::optional<double> NvmlDevice::power_limit_watts() const {
  const auto mw = ask<unsigned>(api_->power_limit, device_);
  return mw ? std::optional<double>(*mw * 1e-3) : std::nullopt;
}

std::optional<unsigned> NvmlDevice::clock_mhz(nvml::ClockType type) const {
  return ask<unsigned>(api_->clock, device_, static_cast<int>(type));
}

std::optional<unsigned> NvmlDevice::max_clock_mhz(nvml::ClockType type) const {
  return ask<unsigned>(api_->max_clock, device_, static_cast<int>(type));
}

std::optional<unsigned> NvmlDevice::celsius() const {
  return ask<unsigned>(api_->temperature, device_, nvml::kTemperatureGpu);
}

std::optional<uint64_t> NvmlDevice::event_reasons() const {
  return ask<unsigned long long>(api_->clocks_event_reasons, device_);
}

std::optional<nvml::Memory> NvmlDevice::memory() const {
  return ask<nvml::Memory>(api_->memory, device_);
}

std::optional<std::vector<nvml::ProcessInfo>> NvmlDevice::processes() const {
  std::vector<nvml::ProcessInfo> list(64);
  auto count = static_cast<unsigned>(list.size());
  if (!api_->compute_processes ||
      api_->compute_processes(device_, &count, list.data()) != nvml::kSuccess)
    return std::nullopt;
  list.resize(count);
  return list;
}

std::optional<bool> NvmlDevice::ecc() const {
  int current = 0, pending = 0;
  if (!api_->ecc_mode || api_->ecc_mode(device_, &current, &pending) != nvml::kSuccess)
    return std::nullopt;
  return current != 0;
}

std::optional<bool> NvmlDevice::mig() const {
  unsigned current = 0, pending = 0;
  if (!api_->mig_mode || api_->mig_mode(device_, &current, &pending) != nvml::kSuccess)
    return std::nullopt;
  return current != 0;
}

std::optional<bool> NvmlDevice::persistence() const {
  const auto mode = ask<int>(api_->persistence, device_);
  return mode ? std::optional<bool>(*mode != 0) : std::nullopt;
}

std::vector<std::string> reason_names(uint64_t bits) {
  static constexpr std::pair<uint64_t, const char*> kNames[] = {
      {nvml::kReasonIdle, "idle"},
      {nvml::kReasonApplicationClocks, "application clock setting"},
      {nvml::kReasonSoftwarePowerCap, "power cap"},
      {nvml::kReasonHardwareSlowdown, "hardware slowdown"},
      {nvml::kReasonSyncBoost, "sync boost"},
      {nvml::kReasonSoftwareThermal, "thermal (software)"},
      {nvml::kReasonHardwareThermal, "thermal (hardware)"},
      {nvml::kReasonPowerBrake, "power brake"},
      {nvml::kReasonDisplayClocks, "display clock setting"}};
  std::vector<std::string> names;
  for (const auto& [bit, name] : kNames)
    if (bits & bit) names.emplace_back(name);
  return names;
}

bool throttles(uint64_t bits) { return (bits & kThrottling) != 0; }

}  // namespace kvtoll::profiler
