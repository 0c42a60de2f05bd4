// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/ranges.h>

#include <sstream>
#include <thread>

#include "kvtoll/core/host.h"
#include "kvtoll/profiler/cpu_guard.h"
#include "kvtoll/profiler/doctor.h"
#include "kvtoll/profiler/rapl.h"

namespace kvtoll::profiler {
namespace {

namespace fs = std::filesystem;

Check check_cpu(const fs::path& root) {
  return {"cpu", CheckState::kOk,
          fmt::format("{}, {} physical cores and {} threads usable", cpu_name(root),
                      physical_cores(), std::thread::hardware_concurrency()),
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
  const double total = static_cast<double>(total_memory(root).value) * 1e-9,
               free = static_cast<double>(available_memory(root).value) * 1e-9;
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
