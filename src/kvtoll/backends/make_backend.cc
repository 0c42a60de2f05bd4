// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Which backend a name means in this build and on this machine.
#include "kvtoll/backends/backend.h"
#include "kvtoll/backends/cpu/cpu_backend.h"

namespace kvtoll {

Result<std::unique_ptr<Backend>> make_backend(const std::string& name,
                                              std::shared_ptr<const Checkpoint> checkpoint,
                                              const BackendOptions& options) {
  if (name == "cpu" || name == "auto") return cpu::CpuBackend::make(checkpoint, options);
  if (name == "cuda")
    return machine_error(
        "this build has no cuda backend: build on a machine with nvcc 12.4 or newer, or use "
        "--backend cpu");
  return usage_error("unknown backend `{}`: it is one of auto, cpu, cuda", name);
}

}  // namespace kvtoll
