// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "kvtoll/core/build_info.h"
#include "kvtoll/device/device_info.h"
#include "kvtoll/profiler/dram_counter.h"
#include "kvtoll/profiler/gpu_guard.h"
#include "kvtoll/profiler/kernel_tracer.h"
#include "kvtoll/profiler/nvml_energy.h"

namespace kvtoll::profiler {
namespace {

std::string_view state_name(CheckState state) {
  constexpr std::array<std::string_view, 3> kNames = {"ok", "missing", "unfit"};
  return kNames[static_cast<size_t>(state)];
}

Check from(std::string name, const Availability& a, std::string found) {
  if (a.available) return {std::move(name), CheckState::kOk, std::move(found), ""};
  return {std::move(name), CheckState::kMissing, a.reason, a.cure};
}

Check check_compiler() {
  if (!build_info().cuda_compiler.empty())
    return {"cuda_build", CheckState::kOk,
            fmt::format("built with nvcc {}", build_info().cuda_compiler), ""};
  std::istringstream path(std::getenv("PATH") ? std::getenv("PATH") : "");
  for (std::string folder; std::getline(path, folder, ':');)
    if (access((folder + "/nvcc").c_str(), X_OK) == 0)
      return {"cuda_build", CheckState::kMissing,
              fmt::format("this binary has no CUDA backend, but {}/nvcc is there", folder),
              "build again: make build"};
  return {"cuda_build", CheckState::kMissing,
          "this binary has no CUDA backend and nvcc is not on "
          "PATH",
          "install the CUDA toolkit 12.4 or newer, then make build"};
}

Check check_gpu() {
  const DeviceInfo gpu = device_info(0);
  if (!gpu.available)
    return {"gpu", CheckState::kMissing, gpu.reason, "run on a machine with an NVIDIA GPU"};
  return {"gpu", CheckState::kOk,
          fmt::format("{} (sm_{}{}, {} multiprocessors, {:.1f} of {:.1f} GB free, CUDA {})",
                      gpu.name, gpu.major, gpu.minor, gpu.multiprocessors,
                      static_cast<double>(gpu.free.value) * 1e-9,
                      static_cast<double>(gpu.total.value) * 1e-9, gpu.driver),
          ""};
}

Check check_nvml() {
  const NvmlApi& api = system_nvml();
  if (!api.missing.empty())
    return {"nvml", CheckState::kMissing, api.missing, "install the NVIDIA driver"};
  std::array<char, 96> version{};
  if (!api.driver_version || api.driver_version(version.data(), version.size()) != nvml::kSuccess)
    version = {"unknown"};
  return {"nvml", CheckState::kOk, fmt::format("driver {}", version.data()), ""};
}

Check check_gpu_state() {
  std::string found, cure;
  for (const Warning& w : make_gpu_guard(0)->preflight()) {
    found += (found.empty() ? "" : "; ") + w.message;
    cure += (cure.empty() ? "" : "; ") + w.cure;
  }
  if (found.empty()) return {"gpu_state", CheckState::kOk, "alone, whole, ECC on", ""};
  return {"gpu_state", CheckState::kUnfit, found, cure};
}

}  // namespace

std::vector<Check> examine_gpu() {
  std::vector<Check> checks = {check_compiler(), check_nvml(), check_gpu()};
  checks.push_back(from("gpu_energy", make_nvml_energy_counter(0)->availability(),
                        "GPU energy by NVML's total-energy counter"));
  checks.push_back(
      from("cupti", make_kernel_tracer("cuda")->availability(), "every kernel can be traced"));
  checks.push_back(
      from("dram_counters", make_dram_counter()->availability(), "DRAM bytes can be counted"));
  if (system_nvml().missing.empty()) checks.push_back(check_gpu_state());
  return checks;
}

std::vector<Check> examine_machine(const DoctorOptions& options) {
  std::vector<Check> checks = examine_host(options);
  for (Check& check : examine_gpu()) checks.push_back(std::move(check));
  return checks;
}

std::string doctor_text(const std::vector<Check>& checks) {
  std::string out;
  for (const Check& c : checks) {
    out += fmt::format("{:<14}{:<9}{}\n", c.name, state_name(c.state), c.found);
    if (!c.cure.empty()) out += fmt::format("{:<23}-> {}\n", "", c.cure);
  }
  return out;
}

nlohmann::ordered_json doctor_json(const std::vector<Check>& checks) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const Check& c : checks)
    out.push_back(
        {{"name", c.name}, {"state", state_name(c.state)}, {"found", c.found}, {"cure", c.cure}});
  return out;
}

}  // namespace kvtoll::profiler
