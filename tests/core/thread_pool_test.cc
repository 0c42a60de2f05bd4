// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <numeric>

namespace kvtoll {
namespace {

TEST(ThreadPool, EveryIndexOnceInManyShortLoops) {
  ThreadPool pool(4);
  std::vector<std::atomic<int>> calls(257);
  for (int64_t n = 0; n < 257; ++n) {
    for (auto& c : calls) c = 0;
    pool.for_each(n, [&](int thread, int64_t i) {
      EXPECT_LT(thread, pool.size());
      calls[static_cast<size_t>(i)].fetch_add(1);
    });
    for (int64_t i = 0; i < 257; ++i) ASSERT_EQ(calls[static_cast<size_t>(i)], i < n) << n;
  }
}

TEST(ThreadPool, ThreadNumbersTellConcurrentCallsApart) {
  ThreadPool pool(3);
  std::vector<std::atomic<bool>> busy(3);
  for (int loop = 0; loop < 50; ++loop)
    pool.for_each(40, [&](int thread, int64_t) {
      EXPECT_FALSE(busy[static_cast<size_t>(thread)].exchange(true));
      busy[static_cast<size_t>(thread)] = false;
    });
}

TEST(ThreadPool, RangesCoverAllAndAreMultiplesOfTheGrain) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    for (int64_t n : {0, 1, 15, 16, 17, 1000}) {
      std::atomic<int64_t> sum{0};
      pool.parallel_for(n, 16, [&](int64_t begin, int64_t end) {
        EXPECT_EQ(begin % 16, 0);
        EXPECT_TRUE(end % 16 == 0 || end == n);
        sum += end - begin;
      });
      EXPECT_EQ(sum, n);
    }
  }
}

TEST(ThreadPool, SleepingWorkersWakeAndTheirWorkIsVisible) {
  ThreadPool pool(2);
  std::vector<int64_t> data(64);
  for (int loop = 0; loop < 5; ++loop) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));  // longer than the spin
    pool.for_each(64, [&](int, int64_t i) { data[static_cast<size_t>(i)] += i; });
  }
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(data[static_cast<size_t>(i)], 5 * i);
}

}  // namespace
}  // namespace kvtoll
