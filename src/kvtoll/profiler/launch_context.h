// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What the host was doing when it launched a kernel: the frames (modules, operators, NVTX ranges)
// open on the launching thread at that time, and the shape of the linear layer among them. It tells
// an attention projection from a feed-forward one where the kernel's name cannot.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtoll/profiler/trace_data.h"

namespace kvtoll::profiler {

struct HostFrame {
  std::string_view name;
  uint64_t thread = 0;
  int64_t start_ns = 0, end_ns = 0;
  int64_t in = 0, out = 0;  // linear layers: width in, width out; 0: not one, or not recorded
};

struct HostLaunch {
  uint64_t thread = 0;
  int64_t time_ns = 0;
  size_t kernel = 0;  // index into TraceData::kernels
};

// Sets KernelRecord::context: the open frames that the pattern table's contexts know, outermost
// first, joined by '/', followed by "shape:..." where layer shapes tell the layer.
void set_contexts(std::vector<HostFrame> frames, std::vector<HostLaunch> launches,
                  TraceData& trace);

}  // namespace kvtoll::profiler
