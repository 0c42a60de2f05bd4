// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/difference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/sample_record.h"

namespace kvtoll::report {
namespace {

using kvtoll::testing::sample_record;
using ::testing::HasSubstr;

TEST(Difference, PairsCancelWhatBothShare) {
  const double a[] = {100, 150, 80}, b[] = {97, 147, 77};
  const Difference paired = paired_difference(a, b);
  EXPECT_NEAR(paired.value, -3, 1e-9);
  EXPECT_TRUE(paired.significant());
  const Difference unpaired = welch_difference(a, b);
  EXPECT_NEAR(unpaired.value, -3, 1e-9);
  EXPECT_FALSE(unpaired.significant());
}

TEST(Difference, WelchAgreesWithAWorkedExample) {
  // Means 20 and 25, sd 2 and 4, n 5 each: t = 2.5, 5.88 degrees, taken as 5; t975(5) = 2.5706.
  const double a[] = {18, 18, 20, 22, 22}, b[] = {21, 21, 25, 29, 29};
  const Difference d = welch_difference(a, b);
  EXPECT_NEAR(d.value, 5.0, 1e-9);
  EXPECT_NEAR(d.half_width(), 2.5706 * 2.0, 1e-3);
  EXPECT_EQ(d.n, 5);
}

TEST(Difference, ThroughputIsPairedOnlyWithinABlock) {
  const RunRecord a = sample_record("fp16", 100), b = sample_record("int4-quanto", 90);
  const Difference same_block = throughput_difference(a, b);
  EXPECT_TRUE(same_block.paired);
  EXPECT_NEAR(same_block.value, -10, 1e-6);
  EXPECT_NEAR(same_block.half_width(), 0, 1e-6);  // the noise is common to both
  RunRecord other = b;
  other.protocol.block = "another";
  const Difference unpaired = throughput_difference(a, other);
  EXPECT_FALSE(unpaired.paired);
  EXPECT_GT(unpaired.half_width(), 1.0);
}

TEST(Difference, TextSaysNoDifferenceInsideTheSpread) {
  EXPECT_EQ(percent_text({-3.0, {-8.0, 2.0}, 3, true}), "-3.0 % ± 5.0 %: no difference");
  EXPECT_EQ(percent_text({-30.0, {-32.0, -28.0}, 3, true}), "-30 % ± 2.0 %");
  EXPECT_EQ(percent_text({5.0, {5.0, 5.0}, 1, true}), "+5.0 % (one run: spread unknown)");
}

TEST(Difference, CategoriesArePairedByWindowAndAttributed) {
  RunRecord a = sample_record("fp16"), b = sample_record("int4-quanto");
  for (int i = 0; i < 2; ++i) {
    b.trace[i].busy_ns = a.trace[i].busy_ns + 200 + 2 * i;  // 100 and 101 ns a step more
    b.trace[i].category_ns["dequantization"] = 160;
  }
  const auto rows = category_differences(a, b);
  ASSERT_EQ(rows.size(), 10u);
  EXPECT_EQ(rows.front().category, "attention");
  EXPECT_EQ(rows.back().category, "busy");
  const Attribution attribution = attribute_dequantization(rows);
  EXPECT_NEAR(attribution.own_kernels_ns, 80, 1e-9);
  EXPECT_NEAR(attribution.by_difference.value, 100.5, 1e-9);
  EXPECT_TRUE(attribution.by_difference.paired);
  b.trace[0].context += 1;  // other windows: nothing to pair
  EXPECT_FALSE(category_differences(a, b).back().difference.paired);
  b.trace.clear();
  EXPECT_TRUE(category_differences(a, b).empty());
}

}  // namespace
}  // namespace kvtoll::report
