// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Reference values: tables of Student's t, and the textbook formulas evaluated in Python.
#include "kvtoll/core/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace kvtoll {
namespace {

TEST(StudentT, MatchesTables) {
  EXPECT_NEAR(student_t975(1), 12.706204736174698, 1e-9);
  EXPECT_NEAR(student_t975(2), 4.302652729749464, 1e-9);
  EXPECT_NEAR(student_t975(3), 3.182446305284263, 1e-9);
  EXPECT_NEAR(student_t975(4), 2.7764451051977987, 1e-9);
  EXPECT_NEAR(student_t975(9), 2.2621571627409915, 1e-9);
  EXPECT_NEAR(student_t975(100), 1.983971518449634, 1e-9);
  EXPECT_NEAR(student_t975(1000000), 1.9599664, 1e-6);
  EXPECT_NEAR(student_t975(10000), student_t975(10001), 1e-7);  // series and expansion meet
}

TEST(Summarize, MeanSdAndInterval) {
  const std::vector<double> x = {10.0, 12.0, 14.0};
  const Summary s = summarize(x);
  EXPECT_EQ(s.n, 3);
  EXPECT_DOUBLE_EQ(s.mean, 12.0);
  EXPECT_DOUBLE_EQ(s.sd, 2.0);
  EXPECT_NEAR(s.ci95.low, 12.0 - 4.302652729749464 * 2 / std::sqrt(3.0), 1e-9);
  EXPECT_NEAR(s.ci95.high, 12.0 + 4.302652729749464 * 2 / std::sqrt(3.0), 1e-9);
}

TEST(Summarize, FewSamples) {
  EXPECT_EQ(summarize({}).n, 0);
  const std::vector<double> one = {3.0};
  EXPECT_EQ(summarize(one).sd, 0.0);
  EXPECT_EQ(summarize(one).ci95.high, 3.0);
}

TEST(Percentile, InterpolatesBetweenOrderStatistics) {
  EXPECT_DOUBLE_EQ(percentile({4, 1, 3, 2}, 50), 2.5);
  EXPECT_DOUBLE_EQ(percentile({4, 1, 3, 2}, 0), 1);
  EXPECT_DOUBLE_EQ(percentile({4, 1, 3, 2}, 100), 4);
  EXPECT_NEAR(percentile({4, 1, 3, 2}, 99), 3.97, 1e-12);
  EXPECT_TRUE(std::isnan(percentile({}, 50)));
}

TEST(FitLine, ExactLineHasNoWidth) {
  const std::vector<double> x = {0, 1, 2, 3}, y = {5, 7, 9, 11};
  const LineFit fit = fit_line(x, y);
  EXPECT_DOUBLE_EQ(fit.slope, 2);
  EXPECT_DOUBLE_EQ(fit.intercept, 5);
  EXPECT_NEAR(fit.slope_ci95.high - fit.slope_ci95.low, 0, 1e-12);
}

TEST(FitLine, StandardErrorsOfSlopeAndIntercept) {
  const std::vector<double> x = {1, 2, 3, 4, 5}, y = {2.1, 3.9, 6.2, 7.8, 10.1};
  const LineFit fit = fit_line(x, y);
  EXPECT_NEAR(fit.slope, 1.99, 1e-12);
  EXPECT_NEAR(fit.intercept, 0.05, 1e-12);
  EXPECT_NEAR(fit.slope_ci95.high - fit.slope, 3.182446305284263 * 0.05972157623, 1e-8);
  EXPECT_NEAR(fit.intercept_ci95.high - fit.intercept, 3.182446305284263 * 0.19807406021, 1e-8);
}

TEST(Wilson, KnownValues) {
  const Interval half = wilson95(50, 100);
  EXPECT_NEAR(half.low, 0.40383153, 1e-7);
  EXPECT_NEAR(half.high, 0.59616847, 1e-7);
  EXPECT_EQ(wilson95(0, 10).low, 0.0);
  EXPECT_NEAR(wilson95(0, 10).high, 0.27753279, 1e-7);
  EXPECT_EQ(wilson95(10, 10).high, 1.0);
  EXPECT_EQ(wilson95(0, 0).high, 1.0);
}

TEST(McNemar, IsTheExactBinomialTest) {
  EXPECT_DOUBLE_EQ(mcnemar_exact(0, 0), 1.0);
  EXPECT_NEAR(mcnemar_exact(0, 5), 0.0625, 1e-12);
  EXPECT_NEAR(mcnemar_exact(8, 2), 0.109375, 1e-12);
  EXPECT_DOUBLE_EQ(mcnemar_exact(3, 3), 1.0);
  EXPECT_EQ(mcnemar_exact(2, 8), mcnemar_exact(8, 2));
  EXPECT_LT(mcnemar_exact(2000, 500), 1e-100);  // no underflow to a wrong answer
}

TEST(Bootstrap, CoversTheMeanAndRepeats) {
  std::vector<double> d;
  for (int i = 0; i < 200; ++i) d.push_back(i % 4 == 0 ? 1.0 : 0.0);
  const Interval a = bootstrap_mean95(d, 7, 2000), b = bootstrap_mean95(d, 7, 2000);
  EXPECT_EQ(a.low, b.low);
  // Normal approximation: 0.25 +- 1.96 sqrt(0.1875 / 200) = [0.190, 0.310].
  EXPECT_NEAR(a.low, 0.190, 0.012);
  EXPECT_NEAR(a.high, 0.310, 0.012);
}

}  // namespace
}  // namespace kvtoll
