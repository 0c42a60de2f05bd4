// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A missing capability is a value, not an error: it stands in the record with its reason, and in
// `kvtoll doctor` with its cure. A warning is the same for something that is there but unfit.
#pragma once

#include <string>
#include <vector>

namespace kvtoll::profiler {

struct Availability {
  bool available = false;
  std::string reason;  // why not; empty when available
  std::string cure;    // what the user can do, empty when nothing
};

struct Warning {
  std::string code;     // stable word: "clocks_throttled", "other_gpu_processes", ...
  std::string message;  // what was seen
  std::string cure;
};

}  // namespace kvtoll::profiler
