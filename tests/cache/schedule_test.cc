// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/cache/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace kvtoll {
namespace {

// The library's own test, with its quirk: before the first residual token the residual is a 1-D
// tensor, so that the update after a prompt or a flush never flushes.
TEST(CacheSchedule, FlushesWhenTheLibraryDoes) {
  for (int residual_length : {0, 1, 2, 3, 32, 128}) {
    CacheSchedule schedule(residual_length);
    EXPECT_TRUE(schedule.empty());
    schedule.prefill(37);
    int64_t stored = 37, residual = 0;
    for (int update = 0; update < 300; ++update) {
      const bool flush = residual > 0 && residual + 1 >= residual_length;
      residual += 1;
      if (flush) stored += residual, residual = 0;
      EXPECT_EQ(schedule.next_flushes(), flush);
      EXPECT_EQ(schedule.update(1), flush) << residual_length << " update " << update;
      EXPECT_EQ(schedule.stored(), stored);
      EXPECT_EQ(schedule.residual(), residual);
    }
  }
}

// Flushes of n new tokens (n - 1 updates), as the reference counts them.
TEST(CacheSchedule, NumberOfFlushes) {
  const auto flushes = [](int residual_length, int new_tokens) {
    CacheSchedule schedule(residual_length);
    schedule.prefill(128);
    int count = 0;
    for (int i = 1; i < new_tokens; ++i) count += schedule.update(1);
    return count;
  };
  const int lengths[] = {32, 64, 128, 256, 512};
  const int at2048[] = {63, 31, 15, 7, 3}, at256[] = {7, 3, 1, 0, 0};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(flushes(lengths[i], 2048), at2048[i]);
    EXPECT_EQ(flushes(lengths[i], 256), at256[i]);
  }
}

TEST(CacheSchedule, ChunkedPrompt) {
  CacheSchedule schedule(8);
  schedule.prefill(10);
  EXPECT_FALSE(schedule.update(20));  // the second chunk sits whole in the residual
  EXPECT_EQ(schedule.residual(), 20);
  EXPECT_TRUE(schedule.update(5));
  EXPECT_EQ(schedule.stored(), 35);
  schedule.clear();
  EXPECT_TRUE(schedule.empty());
  EXPECT_EQ(schedule.length(), 0);
}

TEST(CacheScheduleDeathTest, WrongOrderIsAProgrammerError) {
  CacheSchedule schedule(8);
  EXPECT_DEATH(schedule.update(1), "update before prefill");
  schedule.prefill(1);
  EXPECT_DEATH(schedule.prefill(1), "prefill of a sequence");
}

}  // namespace
}  // namespace kvtoll
