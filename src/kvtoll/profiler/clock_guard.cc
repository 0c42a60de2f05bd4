// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/clock_guard.h"

#include <fmt/format.h>

#include <memory>

#include "kvtoll/profiler/cpu_guard.h"
#include "kvtoll/profiler/gpu_guard.h"

namespace kvtoll::profiler {

struct ClockGuard::State {
  std::unique_ptr<MachineGuard> guard;
};

ClockGuard::ClockGuard(std::string_view backend, int device) : state_(new State) {
  state_->guard = backend == "cuda" ? make_gpu_guard(device) : make_cpu_guard();
}
ClockGuard::~ClockGuard() = default;

std::vector<Warning> ClockGuard::preflight() const { return state_->guard->preflight(); }
void ClockGuard::begin() { state_->guard->begin(); }
ClockReport ClockGuard::end() { return state_->guard->end(); }

}  // namespace kvtoll::profiler
