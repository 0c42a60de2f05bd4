// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

namespace kvtoll::profiler {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

std::map<std::string, Check> by_name(const std::vector<Check>& checks) {
  std::map<std::string, Check> out;
  for (const Check& c : checks) out[c.name] = c;
  return out;
}

class DoctorHost : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::path(testing::TempDir()) / "doctor_root";
    fs::remove_all(root_);
    write("proc/cpuinfo", "processor\t: 0\nmodel name\t: Test CPU 9000\nflags\t\t: fpu avx2 fma\n");
    write("proc/meminfo",
          "MemTotal:       32000000 kB\nMemFree: 1 kB\nMemAvailable: 16000000 kB\n");
    write("proc/loadavg", "0.00 0.00 0.00 1/1 1\n");
    write("sys/class/powercap/intel-rapl:0/name", "package-0\n");
    write("sys/class/powercap/intel-rapl:0/energy_uj", "12345\n");
    write("sys/class/powercap/intel-rapl:0/max_energy_range_uj", "99999999\n");
  }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& file, const std::string& text) {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }
  std::map<std::string, Check> examine() {
    return by_name(examine_host({.root = root_, .results = root_ / "not/yet/there"}));
  }
  fs::path root_;
};

TEST_F(DoctorHost, HealthyMachine) {
  auto checks = examine();
  for (const auto& [name, check] : checks) EXPECT_EQ(check.state, CheckState::kOk) << name;
  EXPECT_THAT(checks["cpu"].found, HasSubstr("Test CPU 9000"));
  EXPECT_THAT(checks["simd"].found, HasSubstr("avx2"));
  EXPECT_THAT(checks["memory"].found, HasSubstr("32.8 GB, 16.4 GB available"));
  EXPECT_THAT(checks["rapl"].found, HasSubstr("rapl_package"));
  EXPECT_THAT(checks["disk"].found, HasSubstr("doctor_root"));
}

TEST_F(DoctorHost, EveryTroubleHasACure) {
  write("proc/cpuinfo", "model name\t: Old CPU\nflags\t\t: fpu sse2\n");
  write("proc/meminfo", "MemTotal: 4000000 kB\nMemAvailable: 500000 kB\n");
  write("proc/loadavg", "77.00 0.00 0.00 1/1 1\n");
  fs::remove_all(root_ / "sys");
  auto checks = by_name(examine_host({.root = root_, .results = root_, .disk_needed_gb = 1e9}));
  for (const char* name : {"simd", "memory", "rapl", "cpu_state", "disk"}) {
    EXPECT_NE(checks[name].state, CheckState::kOk) << name;
    EXPECT_FALSE(checks[name].cure.empty()) << name;
  }
}

TEST(Doctor, RunsHereAndSaysTheSameInJson) {
  const std::vector<Check> checks = examine_machine();
  const auto names = by_name(checks);
  for (const char* name : {"cpu", "disk", "cuda_build", "nvml", "gpu", "cupti", "dram_counters"})
    EXPECT_TRUE(names.contains(name)) << name;
  for (const Check& c : checks) {
    EXPECT_FALSE(c.found.empty()) << c.name;
    EXPECT_TRUE(c.state == CheckState::kOk || !c.cure.empty()) << c.name;
  }
  const std::string text = doctor_text(checks);
  const auto json = nlohmann::json::parse(doctor_json(checks).dump());
  ASSERT_EQ(json.size(), checks.size());
  for (const auto& entry : json) EXPECT_THAT(text, HasSubstr(entry["found"].get<std::string>()));
}

}  // namespace
}  // namespace kvtoll::profiler
