// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What this machine can measure, check by check, and how to enable what it cannot: the text behind
// `kvtoll doctor`. Example: print(doctor_text(examine_machine("results")));
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace kvtoll::profiler {

enum class CheckState : uint8_t { kOk, kMissing, kUnfit };

struct Check {
  std::string name;  // stable word: "cpu", "rapl", "cupti", ...
  CheckState state = CheckState::kOk;
  std::string found;  // what is there, or why it is not
  std::string cure;   // empty when there is nothing to do
};

struct DoctorOptions {
  std::filesystem::path root = "/";     // where /proc and /sys are
  std::filesystem::path results = ".";  // where results would be written
  double disk_needed_gb = 1.0;
};

// CPU, cores, SIMD, memory, RAPL, clocks; nvcc, driver, GPU, NVML, energy, CUPTI, counters; disk.
// Never throws; creates a CUDA context where there is a GPU.
std::vector<Check> examine_machine(const DoctorOptions& options = {});
// The half that needs no GPU, for tests with a tree of their own.
std::vector<Check> examine_host(const DoctorOptions& options);
std::vector<Check> examine_gpu();

std::string doctor_text(const std::vector<Check>& checks);
nlohmann::ordered_json doctor_json(const std::vector<Check>& checks);

}  // namespace kvtoll::profiler
