// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/host.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

namespace kvtoll {
namespace {

namespace fs = std::filesystem;

Bytes meminfo(const fs::path& root, std::string_view key) {
  const std::string kib = proc_value(root / "proc/meminfo", key);
  return Bytes(std::strtoll(kib.c_str(), nullptr, 10) * 1024);
}

// "QUOTA PERIOD" in microseconds, or "max PERIOD".
std::optional<double> quota_of(const std::string& line) {
  std::istringstream words(line);
  double quota = 0.0, period = 0.0;
  if (words >> quota >> period && quota > 0 && period > 0) return quota / period;
  return std::nullopt;
}

void lower(std::optional<double>& limit, std::optional<double> other) {
  if (other && (!limit || *other < *limit)) limit = other;
}

}  // namespace

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string proc_value(const fs::path& file, std::string_view key) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    const size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return {};
}

std::string cpu_name(const fs::path& root) {
  const std::string name = proc_value(root / "proc/cpuinfo", "model name");
  return name.empty() ? "unknown" : name;
}

Bytes total_memory(const fs::path& root) { return meminfo(root, "MemTotal"); }
Bytes available_memory(const fs::path& root) { return meminfo(root, "MemAvailable"); }

std::vector<std::vector<int>> usable_cores(const fs::path& root) {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  if (sched_getaffinity(0, sizeof(mask), &mask) != 0) return {{0}};
  std::map<std::string, std::vector<int>> cores;  // by the list of a core's hardware threads
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mask)) continue;
    const std::string name = "cpu" + std::to_string(cpu);
    const std::string siblings =
        first_line(root / "sys/devices/system/cpu" / name / "topology/thread_siblings_list");
    cores[siblings.empty() ? name : siblings].push_back(cpu);
  }
  std::vector<std::vector<int>> list;
  for (auto& [siblings, cpus] : cores) list.push_back(std::move(cpus));
  std::ranges::sort(list);
  return list;
}

std::optional<double> cpu_quota(const fs::path& root) {
  std::optional<double> limit;
  const fs::path mount = root / "sys/fs/cgroup";
  std::ifstream groups(root / "proc/self/cgroup");  // "ID:CONTROLLERS:PATH"
  for (std::string line; std::getline(groups, line);) {
    const size_t controllers_at = line.find(':') + 1, path_at = line.find(":/") + 1;
    if (controllers_at == 0 || path_at == 0) continue;
    const bool unified = line.starts_with("0::");
    const std::string controllers =
        fmt::format(",{},", line.substr(controllers_at, path_at - 1 - controllers_at));
    if (!unified && controllers.find(",cpu,") == std::string::npos) continue;
    const fs::path top = unified ? mount : mount / "cpu";
    fs::path group = top / line.substr(path_at + 1);
    for (;; group = group.parent_path()) {  // every ancestor's limit holds
      lower(limit, unified ? quota_of(first_line(group / "cpu.max"))
                           : quota_of(first_line(group / "cpu.cfs_quota_us") + " " +
                                      first_line(group / "cpu.cfs_period_us")));
      if (group == top || group.string().size() <= top.string().size()) break;
    }
  }
  return limit;
}

int physical_cores() {
  const auto cores = static_cast<int>(usable_cores().size());
  const std::optional<double> quota = cpu_quota();
  return std::max(1, quota ? std::min(cores, static_cast<int>(std::ceil(*quota))) : cores);
}

}  // namespace kvtoll
