// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/trace_plan.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kvtoll::studies {
namespace {

TEST(TracePlan, LongGenerationsAreTracedFor64StepsAtThreePlaces) {
  const auto plan = plan_trace(2047);
  ASSERT_EQ(plan.size(), 12u);
  int64_t traced = 0;
  for (const TraceSlice& slice : plan) traced += slice.end - slice.begin;
  EXPECT_EQ(traced, 3 * 64);
  EXPECT_LT(plan[0].begin, 16);
  EXPECT_NEAR(plan[5].begin, 1000, 64);
  EXPECT_GT(plan[11].end, 2047 - 16);
}

TEST(TracePlan, WindowsNeverOverlapAndStayInsideAtAnyLength) {
  for (int64_t steps = 1; steps < 600; ++steps) {
    const auto plan = plan_trace(steps);
    int64_t last = 1;
    for (const TraceSlice& slice : plan) {
      EXPECT_GE(slice.begin, last) << steps;
      EXPECT_GT(slice.end, slice.begin) << steps;
      EXPECT_LE(slice.end, steps) << steps;
      last = slice.end + 1;  // at least one untraced step between windows
    }
  }
}

TEST(TracePlan, UntracedNeighboursAreNotTraced) {
  const auto plan = plan_trace(255);
  const auto beside = untraced_neighbours(plan, 255);
  int64_t traced = 0;
  for (const TraceSlice& slice : plan) {
    traced += slice.end - slice.begin;
    for (int64_t i = slice.begin; i < slice.end; ++i) EXPECT_FALSE(beside[i]);
  }
  EXPECT_NEAR(static_cast<double>(std::ranges::count(beside, 1)), static_cast<double>(traced), 12);
}

}  // namespace
}  // namespace kvtoll::studies
