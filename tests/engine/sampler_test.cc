// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace kvtoll {
namespace {

std::map<int32_t, double> frequencies(const Sampling& sampling, const std::vector<float>& logits) {
  Sampler sampler(sampling, 0);
  std::map<int32_t, double> shares;
  const int kDraws = logits.size() > 1000 ? 1000 : 40000;
  for (int i = 0; i < kDraws; ++i) shares[sampler.pick(logits)] += 1.0 / kDraws;
  return shares;
}

TEST(Sampler, GreedyTakesTheFirstLargest) {
  Sampler sampler({}, 0);
  EXPECT_EQ(sampler.pick(std::vector<float>{0.0f, 3.0f, 3.0f, -1.0f}), 1);
}

TEST(Sampler, TemperatureGivesTheSoftmax) {
  const std::vector<float> logits = {1.0f, 0.0f, -1.0f, 2.0f};
  const auto shares = frequencies({.temperature = 2.0, .seed = 3}, logits);
  double total = 0.0;
  for (float x : logits) total += std::exp(x / 2.0);
  for (size_t i = 0; i < logits.size(); ++i)
    EXPECT_NEAR(shares.at(static_cast<int32_t>(i)), std::exp(logits[i] / 2.0) / total, 0.012);
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.3f),
                                     std::log(0.1f)};
  auto shares = frequencies({.temperature = 1.0, .top_p = 0.79, .seed = 3}, logits);
  EXPECT_EQ(shares.size(), 2u);
  EXPECT_NEAR(shares[1], 0.5 / 0.8, 0.012);
  EXPECT_NEAR(shares[2], 0.3 / 0.8, 0.012);
  shares = frequencies({.temperature = 1.0, .top_p = 0.0, .seed = 3}, logits);
  EXPECT_EQ(shares.size(), 1u);  // at least one token stays
  EXPECT_EQ(shares.begin()->first, 1);
}

// A vocabulary's worth of logits: the tail that top-p drops without sorting must not matter.
TEST(Sampler, LargeVocabularyFollowsTheExactDistribution) {
  std::vector<float> logits(50003);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = 6.0f * random_symmetric(1, 0, i);
  logits[777] = 14.0f;
  logits[40000] = 13.0f;
  double total = 0.0;
  for (float x : logits) total += std::exp(double{x});
  const auto all = frequencies({.temperature = 1.0, .seed = 9}, logits);
  EXPECT_NEAR(all.at(777), std::exp(14.0) / total, 0.06);
  EXPECT_NEAR(all.at(40000), std::exp(13.0) / total, 0.06);
  const double pair = std::exp(14.0) + std::exp(13.0);
  const auto two =
      frequencies({.temperature = 1.0, .top_p = pair / total - 1e-6, .seed = 9}, logits);
  EXPECT_EQ(two.size(), 2u);
  EXPECT_NEAR(two.at(777), std::exp(14.0) / pair, 0.06);
}

TEST(Sampler, NotANumberNeverWins) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Sampler sampler({.temperature = 1.0}, 0);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sampler.pick(std::vector<float>{1.0f, nan, nan}), 0);
  EXPECT_EQ(sampler.pick(std::vector<float>(40, nan)), 0);
}

}  // namespace
}  // namespace kvtoll
