// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What the kernel says about the machine: processor, memory, and the cores that this process may
// use. `root` stands for "/", so that tests can bring a tree of their own. Example:
// if (need > available_memory()) refuse();
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/units.h"

namespace kvtoll {

std::string first_line(const std::filesystem::path& file);  // empty when it cannot be read

// The value of the first line "key : value" of a /proc file; empty when there is none.
std::string proc_value(const std::filesystem::path& file, std::string_view key);

std::string cpu_name(const std::filesystem::path& root = "/");  // "unknown" when it is not told

// MemTotal and MemAvailable; 0 when they are not told.
Bytes total_memory(const std::filesystem::path& root = "/");
Bytes available_memory(const std::filesystem::path& root = "/");

// The physical cores in this process's affinity mask, each as those of its hardware threads that
// the mask holds. At least one.
std::vector<std::vector<int>> usable_cores(const std::filesystem::path& root = "/");

// How many CPUs' time this process's control groups grant (cpu.max, or cpu.cfs_quota_us of version
// 1); nullopt: no limit.
std::optional<double> cpu_quota(const std::filesystem::path& root = "/");

// Threads that can run side by side: usable cores, at most the quota. At least one.
int physical_cores();

}  // namespace kvtoll
