// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What clock_guard.h asks of one kind of machine: cpu_guard.h and gpu_guard.h answer.
#pragma once

#include <vector>

#include "kvtoll/profiler/clock_guard.h"

namespace kvtoll::profiler {

class MachineGuard {
 public:
  virtual ~MachineGuard() = default;
  virtual std::vector<Warning> preflight() const = 0;
  virtual void begin() = 0;
  virtual ClockReport end() = 0;
};

}  // namespace kvtoll::profiler
