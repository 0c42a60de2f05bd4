// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Which decode steps are traced: at the start, the middle and the end of a generation, in short
// windows between equally many untraced steps, so that the cost of tracing is measured by the way.
// Example: for (const TraceSlice& s : plan_trace(2047)) ...  // 12 windows of 16 steps
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace kvtoll::studies {

struct TraceSlice {
  std::string_view at;  // start, middle, end
  int64_t begin = 0;    // first traced step, counted from 0
  int64_t end = 0;      // one past the last
};

// Windows per place x places x steps = 4 x 3 x 16 = 192 traced steps where the generation is long
// enough, else in proportion. The first step is never traced: tracing starts between steps.
std::vector<TraceSlice> plan_trace(int64_t steps);

// Untraced steps that stand for the traced ones: half a window before and behind each.
std::vector<char> untraced_neighbours(const std::vector<TraceSlice>& plan, int64_t steps);

}  // namespace kvtoll::studies
