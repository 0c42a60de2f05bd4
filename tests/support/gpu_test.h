// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A fixture for tests that need a CUDA device: skipped, with the reason, where there is none.
#pragma once

#include <gtest/gtest.h>

#include "kvtoll/device/device_info.h"

namespace kvtoll::test {

class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    const DeviceInfo device = device_info(0);
    if (!device.available) GTEST_SKIP() << device.reason;
  }
};

}  // namespace kvtoll::test
