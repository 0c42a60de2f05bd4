// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/environment.h"

#include <sys/utsname.h>

#include <array>
#include <ctime>

#include "kvtoll/core/build_info.h"
#include "kvtoll/core/host.h"
#include "kvtoll/profiler/nvml.h"

namespace kvtoll::studies {
namespace {

int64_t usable_cpus() {
  int64_t cpus = 0;
  for (const auto& core : usable_cores()) cpus += static_cast<int64_t>(core.size());
  return cpus;
}

std::string os_name() {
  utsname names{};
  if (uname(&names) != 0) return "unknown";
  return fmt::format("{} {} {}", names.sysname, names.release, names.machine);
}

void add_gpu(report::EnvironmentFields& out) {
  const profiler::NvmlApi& api = profiler::system_nvml();
  const auto device = profiler::NvmlDevice::open(api);
  if (!device) return;
  out.gpu = device->name().value_or("unknown");
  std::array<char, 96> driver{};
  if (api.driver_version && api.driver_version(driver.data(), driver.size()) == 0)
    out.driver = driver.data();
  if (const auto sm = device->clock_mhz(profiler::nvml::kClockSm))
    out.clocks = fmt::format("sm {} MHz", *sm);
}

}  // namespace

report::EnvironmentFields host_environment(const std::string& backend,
                                           const std::vector<std::string>& argv) {
  const BuildInfo& build = build_info();
  report::EnvironmentFields out{
      .cpu = cpu_name(),
      .os = os_name(),
      .kvtoll_version = std::string(build.version),
      .git_revision = std::string(build.git_revision),
      .build_type = std::string(build.build_type),
      .compiler = std::string(build.compiler),
      .cuda_compiler = std::string(build.cuda_compiler),
      .cores = usable_cpus(),
      .memory_bytes = total_memory().value,
      .git_dirty = build.git_dirty,
      .argv = argv,
  };
  if (backend == "cuda") add_gpu(out);
  return out;
}

std::string utc_now() {
  const std::time_t t = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&t, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace kvtoll::studies
