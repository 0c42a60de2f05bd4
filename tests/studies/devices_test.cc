// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvtoll::studies {
namespace {

using ::testing::ElementsAre;

TEST(Devices, EachProcessGetsItsDeviceAndShard) {
  EXPECT_THAT(
      device_command({"kvtoll", "run", "core", "--devices", "0,3", "--force"}, 3, 2, 2),
      ElementsAre("kvtoll", "run", "core", "--force", "--quiet", "--shard=2/2", "--devices=3"));
  EXPECT_THAT(device_command({"kvtoll", "run", "--devices=0,3"}, 0, 1, 2),
              ElementsAre("kvtoll", "run", "--quiet", "--shard=1/2", "--devices=0"));
}

TEST(Devices, ShardsOfTheUserAreRefused) {
  const auto code = run_on_devices({0, 1}, {"kvtoll", "run", "--shard", "1/2"});
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace kvtoll::studies
