// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Is this machine fit to measure? What it finds becomes warnings with their cure; a run during
// which clocks were throttled is to be repeated. Example:
//   ClockGuard guard("cuda");  for (const Warning& w : guard.preflight()) ...;
//   guard.begin();  run();  ClockReport report = guard.end();  if (report.throttled) repeat();
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/profiler/availability.h"

namespace kvtoll::profiler {

struct ClockReport {
  bool throttled = false;
  std::vector<std::string> reasons;            // "power cap", "thermal (hardware)", ...
  double sm_mhz_min = 0.0, sm_mhz_mean = 0.0;  // CPU: core clock where readable
  double celsius_max = 0.0;
  double steal_fraction = 0.0;  // CPU time that the hypervisor gave to others
  std::vector<Warning> warnings;
};

class ClockGuard {
 public:
  explicit ClockGuard(std::string_view backend, int device = 0);
  ~ClockGuard();
  ClockGuard(const ClockGuard&) = delete;
  ClockGuard& operator=(const ClockGuard&) = delete;

  // What is unfit before anything runs.
  std::vector<Warning> preflight() const;
  void begin();
  ClockReport end();

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace kvtoll::profiler
