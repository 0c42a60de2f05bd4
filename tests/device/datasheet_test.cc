// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/device/datasheet.h"

#include <gtest/gtest.h>

#include "kvtoll/device/device_info.h"

namespace kvtoll {
namespace {

TEST(Datasheet, KnowsTheCardsByTheDriversName) {
  EXPECT_EQ(datasheet_peak_gb_s("NVIDIA H100 80GB HBM3"), 3352.0);
  EXPECT_EQ(datasheet_peak_gb_s("NVIDIA H100 PCIe"), 2039.0);
  EXPECT_EQ(datasheet_peak_gb_s("NVIDIA H200"), 4800.0);
  EXPECT_EQ(datasheet_peak_gb_s("NVIDIA A100-SXM4-80GB"), 2039.0);
  EXPECT_EQ(datasheet_peak_gb_s("NVIDIA L40S"), 864.0);
  EXPECT_EQ(datasheet_peak_gb_s("NVIDIA L4"), 300.0);
}

TEST(Datasheet, SaysZeroForAStranger) { EXPECT_EQ(datasheet_peak_gb_s("Some GPU"), 0.0); }

TEST(DeviceInfo, IsAvailableOrSaysWhyNot) {
  const DeviceInfo info = device_info(0);
  EXPECT_NE(info.available, !info.reason.empty());
  const DeviceInfo absent = device_info(4096);
  EXPECT_FALSE(absent.available);
  EXPECT_FALSE(absent.reason.empty());
}

}  // namespace
}  // namespace kvtoll
