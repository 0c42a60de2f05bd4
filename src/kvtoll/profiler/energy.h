// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How many joules: NVML's total-energy counter on a GPU, RAPL on a CPU. A thread polls the counter
// while the work runs; energy is taken between two of the counter's own steps (no edge error from
// its coarse updates) and scaled to the work's time. Example:
//   auto meter = make_energy_meter("cpu");
//   double before = meter->idle_watts(seconds5);  meter->begin();  work();
//   EnergyWindow window = meter->end();
//   EnergyResult r = settle_energy(window, before, meter->idle_watts(seconds5), tokens);
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/units.h"
#include "kvtoll/profiler/availability.h"

namespace kvtoll::profiler {

struct PowerSample {
  int64_t time_ns = 0;  // core/clock.h
  double watts = 0.0;   // NaN where the sensor gave none
  double sm_mhz = 0.0;  // 0: not read
  double memory_mhz = 0.0;
  double celsius = 0.0;
  uint64_t throttle = 0;     // NVML's clocks-event-reason bits
  int64_t memory_used = -1;  // bytes in use on the device, -1: not read
};

// What the polling thread saw: the counter had its old value at `before_ns` and `joules` at
// `time_ns`, so its step lies between the two.
struct CounterStep {
  int64_t before_ns = 0;
  int64_t time_ns = 0;
  double joules = 0.0;
};

// What the counter said about one stretch of work.
struct EnergyWindow {
  bool ok = false;
  std::string reason;    // why not
  std::string method;    // "nvml_total_energy", "rapl_package", "rapl_package+dram"
  int64_t start_ns = 0;  // of the work
  int64_t end_ns = 0;
  int64_t steps = 0;           // counter steps inside the work
  double step_ns = 0.0;        // median time between them
  int64_t aligned_ns = 0;      // from the first to the last of those steps
  Joules aligned;              // the counter's difference between them
  Joules gross;                // aligned energy scaled to end - start
  double edge_error = 1.0;     // largest relative error left by the edges
  bool long_enough = false;    // edge_error at most 1 %
  double sampled_watts = 0.0;  // mean of the sampled power over the work, 0: none
  std::vector<PowerSample> samples;
  std::vector<CounterStep> counter;  // its steps inside the work

  double watts() const {
    return aligned_ns > 0 ? aligned.value / (static_cast<double>(aligned_ns) * 1e-9) : 0.0;
  }
};

struct EnergyResult {
  bool available = false;
  std::string reason, method;
  double gross_j_per_token = 0.0, net_j_per_token = 0.0;
  double gross_watts = 0.0, idle_watts_before = 0.0, idle_watts_after = 0.0;
  double window_s = 0.0;
  int64_t counter_steps = 0, samples = 0, tokens = 0;
  double edge_error = 0.0;
  double sampled_j_per_token = 0.0;  // second opinion: mean sampled power x time
  double disagreement = 0.0;         // |sampled / counter - 1|
  std::vector<Warning> warnings;     // window too short, disagreement over 10 %, idle drifted
};

class EnergyMeter {
 public:
  virtual ~EnergyMeter() = default;
  virtual const Availability& availability() const = 0;
  virtual std::string method() const = 0;
  // How long a window must be so that its edges cost at most 1 %.
  virtual Nanoseconds minimum_window() const = 0;
  // Mean power over `duration` with nothing running, weights loaded. NaN when not available.
  virtual double idle_watts(Nanoseconds duration) = 0;
  virtual void begin() = 0;
  virtual EnergyWindow end() = 0;
};

// backend "cpu" or "cuda"; device is the CUDA ordinal. Never null.
std::unique_ptr<EnergyMeter> make_energy_meter(std::string_view backend, int device = 0);

// The same for a stretch of the window's work, with edges of its own: decoding without the prompt.
EnergyWindow part_of(const EnergyWindow& window, int64_t start_ns, int64_t end_ns);

EnergyResult settle_energy(const EnergyWindow& window, double idle_watts_before,
                           double idle_watts_after, int64_t tokens);

}  // namespace kvtoll::profiler
