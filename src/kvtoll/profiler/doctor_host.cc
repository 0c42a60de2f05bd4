// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/ranges.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "kvtoll/core/thread_pool.h"
#include "kvtoll/profiler/cpu_guard.h"
#include "kvtoll/profiler/doctor.h"
#include "kvtoll/profiler/rapl.h"

namespace kvtoll::profiler {
namespace {

namespace fs = std::filesystem;

// The value of the first line "key : value" of a /proc file; empty when there is none.
std::string proc_value(const fs::path& path, std::string_view key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == std::string::npos) continue;
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return {};
}

Check check_cpu(const fs::path& root) {
  std::string model = proc_value(root / "proc/cpuinfo", "model name");
  if (model.empty()) model = "unknown model";
  return {"cpu", CheckState::kOk,
          fmt::format("{}, {} physical cores and {} threads usable", model, physical_cores(),
                      std::thread::hardware_concurrency()),
          ""};
}

Check check_simd(const fs::path& root) {
  std::string text = proc_value(root / "proc/cpuinfo", "flags");
  if (text.empty()) text = proc_value(root / "proc/cpuinfo", "Features");  // Arm
  std::istringstream words(text);
  std::vector<std::string> found;
  bool wide = false;
  for (std::string word; words >> word;) {
    const bool known = word == "avx2" || word == "fma" || word == "f16c" || word == "avx512f" ||
                       word == "avx512_bf16" || word == "avx512_fp16" || word == "avx512_vnni" ||
                       word == "amx_bf16" || word == "asimd" || word == "asimdhp" || word == "sve";
    if (known) found.push_back(word);
    wide = wide || word == "avx2" || word == "asimd";
  }
  if (wide) return {"simd", CheckState::kOk, fmt::format("{}", fmt::join(found, " ")), ""};
  return {"simd", CheckState::kUnfit, "neither AVX2 nor Advanced SIMD: the CPU backend is slow",
          "use a processor of 2013 or newer"};
}

Check check_memory(const fs::path& root) {
  const auto gb = [&](const char* key) {
    return static_cast<double>(
               std::strtoll(proc_value(root / "proc/meminfo", key).c_str(), nullptr, 10)) *
           1024e-9;
  };
  const double total = gb("MemTotal"), free = gb("MemAvailable");
  const bool enough = free >= 2.0;
  return {"memory", enough ? CheckState::kOk : CheckState::kUnfit,
          fmt::format("{:.1f} GB, {:.1f} GB available", total, free),
          enough ? "" : "close other programs: a 1.5B model needs about 4 GB"};
}

Check check_rapl(const fs::path& root) {
  const auto counter = make_rapl_counter(root / "sys/class/powercap");
  const Availability& a = counter->availability();
  if (a.available) return {"rapl", CheckState::kOk, "CPU energy by " + counter->method(), ""};
  return {"rapl", CheckState::kMissing, a.reason, a.cure};
}

Check check_clocks(const fs::path& root) {
  const std::vector<Warning> warnings = make_cpu_guard(root)->preflight();
  if (warnings.empty()) return {"cpu_state", CheckState::kOk, "quiet, no debugger", ""};
  std::string found, cure;
  for (const Warning& w : warnings) {
    found += (found.empty() ? "" : "; ") + w.message;
    cure += (cure.empty() ? "" : "; ") + w.cure;
  }
  return {"cpu_state", CheckState::kUnfit, found, cure};
}

Check check_disk(const DoctorOptions& options) {
  std::error_code error;
  fs::path folder = fs::absolute(options.results, error);
  while (!fs::exists(folder, error) && folder.has_parent_path() && folder != folder.parent_path())
    folder = folder.parent_path();
  const fs::space_info space = fs::space(folder, error);
  if (error)
    return {"disk", CheckState::kMissing, fmt::format("{}: {}", folder.string(), error.message()),
            "choose another folder with --results"};
  const double free = static_cast<double>(space.available) * 1e-9;
  const bool enough = free >= options.disk_needed_gb;
  return {"disk", enough ? CheckState::kOk : CheckState::kUnfit,
          fmt::format("{:.1f} GB free in {}", free, folder.string()),
          enough ? "" : "free some space, or choose another folder with --results"};
}

}  // namespace

std::vector<Check> examine_host(const DoctorOptions& options) {
  return {check_cpu(options.root),  check_simd(options.root),   check_memory(options.root),
          check_rapl(options.root), check_clocks(options.root), check_disk(options)};
}

}  // namespace kvtoll::profiler
