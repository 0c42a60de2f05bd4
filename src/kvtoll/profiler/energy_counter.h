// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A counter of joules and the meter that polls it: the seam between energy.h and what the machine
// offers (rapl.h, nvml_energy.h). Tests bring their own counter and clock-free steps.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kvtoll/profiler/energy.h"

namespace kvtoll::profiler {

class EnergyCounter {
 public:
  virtual ~EnergyCounter() = default;
  virtual const Availability& availability() const = 0;
  virtual std::string method() const = 0;
  // Joules since some fixed time, never falling; empty when the read failed.
  virtual std::optional<double> joules() = 0;
  // Power, clocks, temperature, throttle reasons; empty where the machine has no such sensor.
  virtual std::optional<PowerSample> sample() { return std::nullopt; }
  // How often the counter moves, roughly: decides the minimum window.
  virtual Nanoseconds period() const = 0;
};

// The arithmetic of a window, apart from threads and clocks.
EnergyWindow close_window(std::vector<CounterStep> steps, std::vector<PowerSample> samples,
                          int64_t start_ns, int64_t end_ns);

std::unique_ptr<EnergyMeter> make_polling_meter(std::unique_ptr<EnergyCounter> counter);

// Counter steps that a window needs: with 100 of them one step more or less is 1 %.
inline constexpr int64_t kMinimumSteps = 100;

}  // namespace kvtoll::profiler
