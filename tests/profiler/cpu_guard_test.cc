// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/cpu_guard.h"

#include <gtest/gtest.h>

#include <fstream>

#include "kvtoll/profiler/memory_watch.h"

namespace kvtoll::profiler {
namespace {

namespace fs = std::filesystem;

class CpuGuard : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) /
            testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    write("proc/loadavg", "0.00 0.00 0.00 1/100 1");
    write("proc/stat", "cpu 100 0 100 800 0 0 0 0 0 0");
    write("proc/self/status", "Name:\tx\nTracerPid:\t0\n");
    write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance");
    write("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "4");
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text << "\n";
  }
  fs::path root_;
};

TEST_F(CpuGuard, QuietMachineHasNoWarnings) {
  const auto guard = make_cpu_guard(root_);
  EXPECT_TRUE(guard->preflight().empty());
  guard->begin();
  const ClockReport report = guard->end();
  EXPECT_FALSE(report.throttled);
  EXPECT_TRUE(report.warnings.empty());
}

TEST_F(CpuGuard, GovernorLoadAndDebuggerAreNamed) {
  write("proc/loadavg", "99.50 1.00 1.00 1/100 1");
  write("proc/self/status", "Name:\tx\nTracerPid:\t77\n");
  write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave");
  const auto warnings = make_cpu_guard(root_)->preflight();
  ASSERT_EQ(warnings.size(), 3u);
  EXPECT_EQ(warnings[0].code, "cpu_governor");
  EXPECT_EQ(warnings[1].code, "cpu_load");
  EXPECT_EQ(warnings[2].code, "debugger");
}

TEST_F(CpuGuard, StolenTimeAndThrottlingDuringTheRun) {
  const auto guard = make_cpu_guard(root_);
  guard->begin();
  write("proc/stat", "cpu 150 0 100 810 0 0 0 40 0 0");
  write("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "9");
  const ClockReport report = guard->end();
  EXPECT_DOUBLE_EQ(report.steal_fraction, 0.4);
  EXPECT_TRUE(report.throttled);
  ASSERT_EQ(report.warnings.size(), 2u);
  EXPECT_EQ(report.warnings[0].code, "cpu_steal");
  EXPECT_EQ(report.warnings[1].code, "clocks_throttled");
}

TEST(MemoryWatch, FindsThePeakAndWhatLiesBesideIt) {
  MemoryWatch watch("cpu");
  MemorySplit split;
  split[MemoryTag::kWeights] = Bytes(1000);
  watch.sample(split);
  split[MemoryTag::kKvPayload] = Bytes(500);
  watch.sample(split);
  split[MemoryTag::kKvPayload] = Bytes(100);
  watch.sample(split);
  const MemoryReport report = watch.report();
  EXPECT_EQ(report.allocated_peak.value, 1500);
  EXPECT_EQ(report.at_peak.kv().value, 500);
  EXPECT_EQ(report.series.size(), 3u);
  EXPECT_GT(report.machine_peak.value, 1 << 20);  // this program is larger than a megabyte
  EXPECT_GE(resident_peak_bytes(), report.machine_peak - Bytes(1 << 20));
}

}  // namespace
}  // namespace kvtoll::profiler
