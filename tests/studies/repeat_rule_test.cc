// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/repeat_rule.h"

#include <gtest/gtest.h>

#include <vector>

namespace kvtoll::studies {
namespace {

// How often each of the runs is made, given what its attempts find.
std::vector<int> attempts(const std::vector<std::vector<bool>>& throttled) {
  RepeatRule rule;
  std::vector<int> made;
  for (const auto& run : throttled) {
    size_t attempt = 0;
    while (rule.again(run.at(attempt), attempt > 0)) ++attempt;
    made.push_back(static_cast<int>(attempt) + 1);
  }
  return made;
}

TEST(RepeatRule, AThrottledRunIsMadeOnceMore) {
  EXPECT_EQ(attempts({{false}, {true, false}, {false}, {true, false}}),
            (std::vector<int>{1, 2, 1, 2}));
}

TEST(RepeatRule, WhereThatDoesNotHelpNoRunIsMadeAgain) {
  EXPECT_EQ(attempts({{true, true}, {true}, {false}, {true}}), (std::vector<int>{2, 1, 1, 1}));
}

}  // namespace
}  // namespace kvtoll::studies
