// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/cupti_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>
#include <vector>

namespace kvtoll::profiler {
namespace {

std::vector<std::string> candidates() {
  const std::vector<std::string> names = {"libcupti.so.13", "libcupti.so.12", "libcupti.so"};
  const std::vector<std::string> folders = {"",
                                            "/usr/local/cuda/lib64/",
                                            "/usr/local/cuda/lib/",
                                            "/usr/local/cuda/extras/CUPTI/lib64/",
                                            "/opt/cuda/lib64/",
                                            "/opt/cuda/extras/CUPTI/lib64/"};
  std::vector<std::string> paths;
  for (const std::string& folder : folders)
    for (const std::string& name : names) paths.push_back(folder + name);
  return paths;
}

CuptiLibrary open_library() {
  CuptiLibrary library;
  for (const std::string& path : candidates()) {
    library.handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library.handle) continue;
    library.path = path;
    return library;
  }
  library.missing = "libcupti is not installed or not on the loader's path";
  return library;
}

}  // namespace

const CuptiLibrary& cupti_library() {
  static const CuptiLibrary library = open_library();
  return library;
}

void* cupti_symbol(const char* name) {
  const CuptiLibrary& library = cupti_library();
  return library.handle ? dlsym(library.handle, name) : nullptr;
}

CuptiFailure explain_cupti(int result, const char* call) {
  switch (result) {
    case 26:
      return {fmt::format("{}: another tool holds the performance counters (26)", call),
              "pause it, for DCGM: dcgmi profile --pause"};
    case 35:
      return {fmt::format("{}: this user may not read performance counters (35)", call),
              "run as root or with CAP_SYS_ADMIN, or load the driver with "
              "NVreg_RestrictProfilingToAdminUsers=0"};
    case 39:
      return {fmt::format("{}: another profiler is attached to this process (39)", call),
              "run without nsys, ncu, cuda-gdb, compute-sanitizer or another CUPTI user"};
    case 33:
    case 40:
      return {fmt::format("{}: not offered on this virtual GPU ({})", call, result),
              "use a machine with the whole GPU passed through"};
    case 41:
      return {fmt::format("{}: not offered in confidential-computing mode (41)", call),
              "switch confidential computing off"};
    case 43:
      return {fmt::format("{}: not offered on a MIG instance (43)", call),
              "sudo nvidia-smi -mig 0"};
    default:
      return {fmt::format("{} failed with CUPTI error {}", call, result),
              "check that a driver is loaded (nvidia-smi) and that libcupti is of its CUDA "
              "version or older"};
  }
}

}  // namespace kvtoll::profiler
