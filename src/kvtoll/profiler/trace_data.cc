// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/trace_data.h"

namespace kvtoll::profiler {

std::string_view NamePool::intern(std::string_view name) {
  const auto found = known_.find(name);
  if (found != known_.end()) return *found;
  names_.emplace_back(name);
  known_.insert(names_.back());
  return names_.back();
}

}  // namespace kvtoll::profiler
