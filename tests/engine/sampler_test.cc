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
  constexpr int kDraws = 40000;
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

TEST(Sampler, NotANumberNeverWins) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Sampler sampler({.temperature = 1.0}, 0);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sampler.pick(std::vector<float>{1.0f, nan, nan}), 0);
}

}  // namespace
}  // namespace kvtoll
