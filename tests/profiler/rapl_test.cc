// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/rapl.h"

#include <gtest/gtest.h>

#include <fstream>

namespace kvtoll::profiler {
namespace {

namespace fs = std::filesystem;

// A powercap folder of our own: package 0 with a DRAM zone and a core zone, and a psys zone.
class Rapl : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) /
            testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    zone("intel-rapl:0", "package-0", 1'000'000);
    zone("intel-rapl:0:0", "core", 500'000);
    zone("intel-rapl:0:1", "dram", 2'000'000);
    zone("intel-rapl:1", "psys", 9'000'000);
  }
  void TearDown() override { fs::remove_all(root_); }
  void zone(const std::string& folder, const std::string& name, int64_t uj) {
    fs::create_directories(root_ / folder);
    std::ofstream(root_ / folder / "name") << name << "\n";
    std::ofstream(root_ / folder / "max_energy_range_uj") << 10'000'000 << "\n";
    set(folder, uj);
  }
  void set(const std::string& folder, int64_t uj) {
    std::ofstream(root_ / folder / "energy_uj") << uj << "\n";
  }
  fs::path root_;
};

TEST_F(Rapl, SumsPackagesAndDramOnly) {
  const auto counter = make_rapl_counter(root_);
  ASSERT_TRUE(counter->availability().available);
  EXPECT_EQ(counter->method(), "rapl_package+dram");
  EXPECT_DOUBLE_EQ(*counter->joules(), 0.0);
  set("intel-rapl:0", 4'000'000);
  set("intel-rapl:0:0", 9'000'000);
  set("intel-rapl:0:1", 2'500'000);
  EXPECT_DOUBLE_EQ(*counter->joules(), 3.5);
}

TEST_F(Rapl, WrapsAroundAtItsRange) {
  const auto counter = make_rapl_counter(root_);
  set("intel-rapl:0", 9'500'000);
  EXPECT_DOUBLE_EQ(*counter->joules(), 8.5);
  set("intel-rapl:0", 250'000);  // 0.75 J on, past the end of the range
  EXPECT_DOUBLE_EQ(*counter->joules(), 9.25);
}

TEST_F(Rapl, UnreadableCounterIsAReasonWithACure) {
  for (const char* folder : {"intel-rapl:0", "intel-rapl:0:1"}) {
    fs::remove(root_ / folder / "energy_uj");
    fs::create_directory(root_ / folder / "energy_uj");  // there, but no number can be read
  }
  const auto counter = make_rapl_counter(root_);
  EXPECT_FALSE(counter->availability().available);
  EXPECT_NE(counter->availability().reason.find("not readable"), std::string::npos);
  EXPECT_NE(counter->availability().cure.find("chmod"), std::string::npos);
}

TEST_F(Rapl, NoFolderIsAReason) {
  const auto counter = make_rapl_counter(root_ / "nothing");
  EXPECT_FALSE(counter->availability().available);
  EXPECT_NE(counter->availability().reason.find("no RAPL"), std::string::npos);
}

}  // namespace
}  // namespace kvtoll::profiler
