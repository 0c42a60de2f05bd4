// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/divergence.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kvtoll {
namespace {

TEST(CompareLogits, MatchesTheFormula) {
  // p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): KL = 1/2 ln 2 - 1/4 ln 2.
  const std::vector<float> p = {std::log(2.0f), 0.0f, 0.0f},
                           q = {3.0f, 3.0f, 3.0f + std::log(2.0f)};
  const PositionDivergence d = compare_logits(p, q, 2, 7);
  EXPECT_NEAR(d.kl, 0.25 * std::log(2.0), 1e-6);
  EXPECT_FALSE(d.same_top);
  EXPECT_NEAR(d.nll_reference, std::log(4.0), 1e-6);
  EXPECT_NEAR(d.nll_tested, std::log(2.0), 1e-6);
  EXPECT_EQ(d.position, 7);
}

TEST(CompareLogits, EqualLogitsDoNotDiverge) {
  const std::vector<float> p = {-1000.0f, 5.0f, 1000.0f};
  const PositionDivergence d = compare_logits(p, p, 2, 0);
  EXPECT_EQ(d.kl, 0.0);
  EXPECT_TRUE(d.same_top);
}

TEST(Summary, BinsByPosition) {
  std::vector<PositionDivergence> all;
  for (int64_t i = 10; i < 130; ++i)
    all.push_back({i, i == 129 ? 5.0 : 0.1, i % 2 == 0, std::log(2.0), std::log(4.0)});
  const DivergenceSummary s = summarize_divergence(all);
  EXPECT_EQ(s.positions, 120);
  EXPECT_NEAR(s.kl_mean, (119 * 0.1 + 5.0) / 120, 1e-12);
  EXPECT_EQ(s.kl_max, 5.0);
  EXPECT_NEAR(s.top1_agreement, 0.5, 1e-12);
  EXPECT_NEAR(s.perplexity_reference, 2.0, 1e-9);
  EXPECT_NEAR(s.perplexity_tested, 4.0, 1e-9);
  const auto bins = divergence_by_position(all);
  ASSERT_EQ(bins.size(), 4u);  // 0-31, 32-63, 64-127, 128-255
  EXPECT_EQ(bins[0].summary.positions, 22);
  EXPECT_EQ(bins[2].from, 64);
  EXPECT_EQ(bins[3].summary.positions, 2);
  EXPECT_EQ(summarize_divergence({}).positions, 0);
}

}  // namespace
}  // namespace kvtoll
