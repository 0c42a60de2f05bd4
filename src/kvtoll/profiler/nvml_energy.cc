// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/nvml_energy.h"

#include <cmath>

#include "kvtoll/core/clock.h"

#ifdef KVTOLL_HAVE_CUDA
#include <cuda_runtime_api.h>
#endif

namespace kvtoll::profiler {
namespace {

class NvmlEnergyCounter : public EnergyCounter {
 public:
  NvmlEnergyCounter(int device, const NvmlApi& api) {
    Result<NvmlDevice> opened = NvmlDevice::open(api, cuda_bus_id(device));
    if (!opened) {
      availability_ = {false, opened.error().message, "install the NVIDIA driver"};
      return;
    }
    device_ = *opened;
    if (device_->mig().value_or(false)) {
      availability_ = {false, "the device is split by MIG: its energy counter covers all instances",
                       "switch MIG off to measure energy"};
    } else if (!device_->total_energy_mj()) {
      availability_ = {false, "the device has no total-energy counter",
                       "use a Volta or newer data-centre card"};
    } else {
      availability_.available = true;
    }
  }

  const Availability& availability() const override { return availability_; }
  std::string method() const override { return "nvml_total_energy"; }
  Nanoseconds period() const override { return Nanoseconds(100'000'000); }

  std::optional<double> joules() override {
    const auto mj = device_->total_energy_mj();
    return mj ? std::optional<double>(static_cast<double>(*mj) * 1e-3) : std::nullopt;
  }
  std::optional<PowerSample> sample() override { return read_sample(*device_); }

 private:
  std::optional<NvmlDevice> device_;
  Availability availability_;
};

}  // namespace

std::unique_ptr<EnergyCounter> make_nvml_energy_counter(int device, const NvmlApi& api) {
  return std::make_unique<NvmlEnergyCounter>(device, api);
}

PowerSample read_sample(const NvmlDevice& device) {
  PowerSample s;
  s.time_ns = now().value;
  s.watts = device.watts().value_or(std::nan(""));
  s.sm_mhz = device.clock_mhz(nvml::kClockSm).value_or(0);
  s.memory_mhz = device.clock_mhz(nvml::kClockMemory).value_or(0);
  s.celsius = device.celsius().value_or(0);
  s.throttle = device.event_reasons().value_or(0);
  const auto memory = device.memory();
  s.memory_used = memory ? static_cast<int64_t>(memory->used) : -1;
  return s;
}

std::string cuda_bus_id(int device) {
#ifdef KVTOLL_HAVE_CUDA
  char text[32] = {};
  if (cudaDeviceGetPCIBusId(text, sizeof text, device) == cudaSuccess) return text;
#else
  (void)device;
#endif
  return {};
}

}  // namespace kvtoll::profiler
