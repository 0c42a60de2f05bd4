// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/cpu_guard.h"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

#include "kvtoll/core/host.h"

namespace kvtoll::profiler {
namespace {

namespace fs = std::filesystem;

// Ticks of all CPUs since boot: everything, and what the hypervisor gave to others (proc(5)).
struct Ticks {
  int64_t all = 0, steal = 0;
};

Ticks read_ticks(const fs::path& root) {
  std::istringstream line(first_line(root / "proc/stat"));
  std::string label;
  line >> label;
  Ticks ticks;
  int64_t value = 0;
  for (int field = 0; field < 8 && line >> value; ++field) {
    ticks.all += value;
    if (field == 7) ticks.steal = value;
  }
  return ticks;
}

// Sum of the cores' throttle counters; -1 where the machine has none (virtual machines).
int64_t read_throttle_count(const fs::path& root) {
  std::error_code error;
  int64_t sum = -1;
  for (const auto& cpu : fs::directory_iterator(root / "sys/devices/system/cpu", error)) {
    std::ifstream file(cpu.path() / "thermal_throttle/core_throttle_count");
    int64_t count = 0;
    if (file >> count) sum = (sum < 0 ? 0 : sum) + count;
  }
  return sum;
}

class CpuGuard : public MachineGuard {
 public:
  explicit CpuGuard(fs::path root) : root_(std::move(root)) {}

  std::vector<Warning> preflight() const override {
    std::vector<Warning> warnings;
    const std::string governor =
        first_line(root_ / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    if (!governor.empty() && governor != "performance")
      warnings.push_back(
          {"cpu_governor",
           fmt::format("the frequency governor is '{}': clocks follow the load", governor),
           "sudo cpupower frequency-set -g performance"});
    std::istringstream loads(first_line(root_ / "proc/loadavg"));
    double load = 0.0;
    loads >> load;
    const unsigned cpus = std::thread::hardware_concurrency();
    if (load > 0.25 * cpus)
      warnings.push_back(
          {"cpu_load",
           fmt::format("other work is running: load average {:.2f} on {} CPUs", load, cpus),
           "stop other programs, or read the spread of the runs with care"});
    if (tracer_pid() != 0)
      warnings.push_back(
          {"debugger", "a debugger or tracer is attached to this process", "run without it"});
    return warnings;
  }

  void begin() override {
    ticks_ = read_ticks(root_);
    throttles_ = read_throttle_count(root_);
  }

  ClockReport end() override {
    ClockReport report;
    const Ticks ticks = read_ticks(root_);
    if (ticks.all > ticks_.all)
      report.steal_fraction = static_cast<double>(ticks.steal - ticks_.steal) /
                              static_cast<double>(ticks.all - ticks_.all);
    if (report.steal_fraction > 0.02)
      report.warnings.push_back(
          {"cpu_steal",
           fmt::format("the hypervisor gave {:.1f} % of the CPU time to others",
                       100 * report.steal_fraction),
           "measure on a machine of your own, or repeat and compare the runs"});
    if (const int64_t count = read_throttle_count(root_); throttles_ >= 0 && count > throttles_) {
      report.throttled = true;
      report.reasons.emplace_back("thermal (CPU)");
      report.warnings.push_back(
          {"clocks_throttled",
           fmt::format("the CPU throttled its clocks {} times", count - throttles_),
           "improve cooling or lower the power"});
    }
    return report;
  }

 private:
  int64_t tracer_pid() const {
    return std::strtoll(proc_value(root_ / "proc/self/status", "TracerPid").c_str(), nullptr, 10);
  }

  fs::path root_;
  Ticks ticks_;
  int64_t throttles_ = -1;
};

}  // namespace

std::unique_ptr<MachineGuard> make_cpu_guard(const fs::path& root) {
  return std::make_unique<CpuGuard>(root);
}

}  // namespace kvtoll::profiler
