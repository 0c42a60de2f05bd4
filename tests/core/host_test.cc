// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/host.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "kvtoll/core/text_hash.h"
#include "support/temporary_folder.h"

namespace kvtoll {
namespace {

class FakeRoot : public ::testing::Test {
 protected:
  void write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root() / file).parent_path());
    std::ofstream(root() / file) << text;
  }
  const std::filesystem::path& root() const { return folder_.path(); }

 private:
  testing::TemporaryFolder folder_;
};

TEST_F(FakeRoot, MemoryAndProcessorAreReadFromProc) {
  EXPECT_EQ(available_memory(root()).value, 0);
  EXPECT_EQ(cpu_name(root()), "unknown");
  write("proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:    1024 kB\n");
  write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Test CPU\n");
  EXPECT_EQ(total_memory(root()).value, 2 << 20);
  EXPECT_EQ(available_memory(root()).value, 1 << 20);
  EXPECT_EQ(cpu_name(root()), "Test CPU");
}

TEST_F(FakeRoot, HardwareThreadsOfACoreStandTogether) {
  const auto apart = usable_cores(root());  // no topology: a core each
  std::set<int> cpus;
  for (const auto& core : apart) {
    EXPECT_EQ(core.size(), 1u);
    cpus.insert(core.begin(), core.end());
  }
  for (const int cpu : cpus)
    write("sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list",
          "0-1023\n");
  const auto together = usable_cores(root());
  ASSERT_EQ(together.size(), 1u);
  EXPECT_EQ(together[0].size(), cpus.size());
}

TEST_F(FakeRoot, TheTightestQuotaOfTheGroupsHolds) {
  EXPECT_FALSE(cpu_quota(root()));
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_FALSE(cpu_quota(root()));
  write("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  EXPECT_DOUBLE_EQ(*cpu_quota(root()), 1.5);
  write("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
  EXPECT_DOUBLE_EQ(*cpu_quota(root()), 0.5);
}

TEST_F(FakeRoot, QuotaOfVersionOneGroups) {
  write("proc/self/cgroup", "5:cpuset:/x\n4:cpu,cpuacct:/x\n");
  write("sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n");
  write("sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
  EXPECT_FALSE(cpu_quota(root()));
  write("sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "300000\n");
  EXPECT_DOUBLE_EQ(*cpu_quota(root()), 3.0);
}

TEST(Host, ThisMachineIsKnown) {
  EXPECT_GT(available_memory().value, 1 << 20);
  EXPECT_GE(physical_cores(), 1);
}

TEST(TextHash, IsFnv1a) {
  EXPECT_EQ(text_hash(""), "cbf29ce484222325");
  EXPECT_EQ(text_hash("a"), "af63dc4c8601ec8c");
}

}  // namespace
}  // namespace kvtoll
