// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Which backend a name means in this build and on this machine.
#include "kvtoll/backends/backend.h"
#include "kvtoll/backends/cpu/cpu_backend.h"
#include "kvtoll/device/device_info.h"
#if defined(KVTOLL_HAVE_CUDA)
#include "kvtoll/backends/cuda/make_cuda.h"
#endif

namespace kvtoll {

std::string resolve_backend(const std::string& name) {
  if (name != "auto") return name;
  return device_count() > 0 ? "cuda" : "cpu";  // a build without CUDA counts none
}

Result<std::unique_ptr<Backend>> make_backend(const std::string& wanted,
                                              std::shared_ptr<const Checkpoint> checkpoint,
                                              const BackendOptions& options) {
  const std::string name = resolve_backend(wanted);
  if (name == "cuda") {
#if defined(KVTOLL_HAVE_CUDA)
    return cuda::make_cuda_backend(checkpoint, options);
#else
    return machine_error("no cuda backend: {}", device_info(options.device).reason);
#endif
  }
  if (name == "cpu") return cpu::CpuBackend::make(checkpoint, options);
  return usage_error("unknown backend `{}`: it is one of auto, cpu, cuda", name);
}

}  // namespace kvtoll
