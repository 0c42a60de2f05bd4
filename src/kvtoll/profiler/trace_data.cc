// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/trace_data.h"

#include <algorithm>

namespace kvtoll::profiler {

std::string_view NamePool::intern(std::string_view name) {
  const auto found = known_.find(name);
  if (found != known_.end()) return *found;
  names_.emplace_back(name);
  known_.insert(names_.back());
  return names_.back();
}

int32_t step_at(const std::vector<StepRecord>& steps, int64_t time_ns) {
  const auto after =
      std::upper_bound(steps.begin(), steps.end(), time_ns,
                       [](int64_t t, const StepRecord& s) { return t < s.start_ns; });
  if (after == steps.begin()) return -1;
  const auto step = std::prev(after);
  return time_ns <= step->end_ns ? static_cast<int32_t>(step - steps.begin()) : -1;
}

}  // namespace kvtoll::profiler
