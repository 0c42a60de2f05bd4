// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The error budget of every format, by name. On unit-variance noise a group of 64 spans about 4.7
// standard deviations, so a grid of M steps has an error of 4.7 / M / sqrt(12).
#include "kvtoll/formats/distortion.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/kv_tensors.h"

namespace kvtoll {
namespace {

using test::kv_tensor;
using test::KvData;

struct Budget {
  const char* spec;
  double low, high;  // of the RMSE on unit-variance noise in fp16; low: it cannot be that good
};

constexpr Budget kBudgets[] = {
    {"fp16", 0, 0},
    {"fp32", 0, 0},
    {"bf16", 1e-4, 2.5e-3},
    {"int8-hqq", 0.004, 0.0065},
    {"int8-hqq:axis=1", 0.004, 0.0065},
    {"int8-hqq:solver=fp32", 0.004, 0.0065},
    {"int4-hqq", 0.07, 0.105},
    {"int4-hqq:axis=1", 0.07, 0.105},
    {"int4-quanto", 0.07, 0.105},
    {"int4-quanto:axis=-1", 0.07, 0.105},
    {"int3-hqq", 0.15, 0.23},
    {"int2-hqq", 0.3, 0.5},
    {"int2-quanto", 0.35, 0.55},
    {"int1-hqq", 1.0, 1.6},
};

TEST(Distortion, EveryFormatKeepsItsBudgetOnNoise) {
  const KvShape shape{4, 64, 128};
  const auto x = kv_tensor(KvData::kNormal, DType::kF16, shape, 3);
  for (const Budget& budget : kBudgets) {
    const auto d = format_distortion(*KvFormat::parse(budget.spec), DType::kF16, x, shape);
    ASSERT_TRUE(d) << d.error().message;
    EXPECT_GE(d->rmse, budget.low) << budget.spec;
    EXPECT_LE(d->rmse, budget.high) << budget.spec;
    EXPECT_EQ(d->not_finite, 0) << budget.spec;
  }
}

// The finding that the project is about: a constant outlier channel ruins the other channels of its
// group, and an error relative to the signal hides it.
TEST(Distortion, OutlierChannelsCostTheirNeighbours) {
  const KvShape shape{2, 64, 128};
  const auto x = kv_tensor(KvData::kOutliers, DType::kF16, shape, 4);
  const auto per_token = format_distortion(*KvFormat::parse("int4-quanto"), DType::kF16, x, shape);
  const auto per_channel =
      format_distortion(*KvFormat::parse("int4-quanto:axis=-1"), DType::kF16, x, shape);
  ASSERT_TRUE(per_token && per_channel);
  EXPECT_LT(per_token->relative(), 0.5) << "the outliers themselves survive";
  EXPECT_GT(per_token->relative_to_deviation(), 5) << "but nothing is left of what varies";
  EXPECT_LT(per_channel->relative_to_deviation(), 0.15);
}

TEST(Distortion, CountsByChannel) {
  const KvShape shape{1, 2, 3};
  const std::vector<float> x = {1, 2, 3, 1, 4, 5}, y = {1, 2, 4, 1, 4, NAN};
  const Distortion d = distortion(x, y, shape);
  EXPECT_EQ(d.not_finite, 1);
  EXPECT_DOUBLE_EQ(d.max_error, 1);
  EXPECT_DOUBLE_EQ(d.rmse, std::sqrt(1.0 / 5));
  EXPECT_DOUBLE_EQ(d.signal_rms, std::sqrt((1.0 + 4 + 9 + 1 + 16) / 5));
  ASSERT_EQ(d.channels.size(), 3u);
  EXPECT_DOUBLE_EQ(d.channels[1].deviation, 1);
  EXPECT_DOUBLE_EQ(d.channels[1].rmse, 0);
  EXPECT_DOUBLE_EQ(d.channels[2].rmse, 1);
}

}  // namespace
}  // namespace kvtoll
