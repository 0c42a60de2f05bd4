// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/trace_plan.h"

#include <algorithm>

namespace kvtoll::studies {
namespace {

constexpr int64_t kWindowsPerPlace = 4;
constexpr int64_t kLongestWindow = 16;

}  // namespace

std::vector<TraceSlice> plan_trace(int64_t steps) {
  std::vector<TraceSlice> plan;
  const int64_t window =
      std::clamp<int64_t>((steps - 1) / (6 * kWindowsPerPlace), 1, kLongestWindow);
  const int64_t place = 2 * window * kWindowsPerPlace;  // traced and untraced steps of one place
  const auto add = [&](std::string_view at, int64_t first) {
    int64_t begin = std::max(first, plan.empty() ? int64_t{1} : plan.back().end + window);
    for (int64_t i = 0; i < kWindowsPerPlace && begin + window <= steps; ++i, begin += 2 * window)
      plan.push_back({at, begin, begin + window});
  };
  const int64_t lead = std::max<int64_t>(1, window / 2);
  add("start", lead);
  add("middle", (steps - place) / 2 + lead);
  add("end", steps - place + lead);
  return plan;
}

std::vector<char> untraced_neighbours(const std::vector<TraceSlice>& plan, int64_t steps) {
  std::vector<char> chosen(static_cast<size_t>(steps), 0);
  for (const TraceSlice& slice : plan) {
    const int64_t half = std::max<int64_t>(1, (slice.end - slice.begin) / 2);
    for (int64_t i = std::max<int64_t>(0, slice.begin - half); i < slice.begin; ++i) chosen[i] = 1;
    for (int64_t i = slice.end; i < std::min(steps, slice.end + half); ++i) chosen[i] = 1;
  }
  for (const TraceSlice& slice : plan)
    std::fill(chosen.begin() + slice.begin, chosen.begin() + slice.end, 0);
  return chosen;
}

}  // namespace kvtoll::studies
