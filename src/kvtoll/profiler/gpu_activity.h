// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The seam to the vendor's tracer: what a GPU did, as plain records, and where they come from.
// cupti_activity.cc is the real source; tests bring a fake one. Times are on core/clock.h's clock.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/profiler/availability.h"
#include "kvtoll/profiler/trace_data.h"

namespace kvtoll::profiler {

struct GpuActivity {
  enum class Kind : uint8_t { kKernel, kCopy, kFill };
  Kind kind = Kind::kKernel;
  std::string_view name;  // demangled; "Memcpy DtoD", "Memset" for the others
  int64_t start_ns = 0;   // start == end == 0: time not collected
  int64_t end_ns = 0;
  uint32_t correlation = 0;  // of the API call that launched it; one for all nodes of a graph
  uint64_t graph_node = 0;   // 0: not from a graph
  uint32_t stream = 0;
  int64_t bytes = -1;  // copies and fills: bytes moved
};

struct ActivityLog {
  std::vector<GpuActivity> activities;  // in any order
  std::vector<ApiRecord> api;
  int64_t dropped = 0;
  std::shared_ptr<NamePool> names = std::make_shared<NamePool>();
};

class ActivitySource {
 public:
  virtual ~ActivitySource() = default;
  virtual const Availability& availability() const = 0;
  virtual Result<void> start() = 0;
  virtual ActivityLog stop() = 0;  // waits for the device
};

struct CuptiOptions {
  bool api_calls = true;  // also the host's runtime API calls
  bool copies = true;     // also copies and fills
};

// CUPTI's activity API; a reasoned "unavailable" in builds or on machines without it. Never null.
std::unique_ptr<ActivitySource> make_cupti_source(const CuptiOptions& options = {});

}  // namespace kvtoll::profiler
