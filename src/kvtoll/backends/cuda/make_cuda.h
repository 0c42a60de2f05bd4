// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The door to the CUDA backend for a build that has it; free of vendor headers.
#pragma once

#include <memory>

#include "kvtoll/backends/backend.h"

namespace kvtoll::cuda {

// Errors: kMachine without a usable GPU (with the reason), kUnsupported for fp32 weights or shapes
// that no kernel serves, kOutOfMemory, those of the checkpoint.
Result<std::unique_ptr<Backend>> make_cuda_backend(std::shared_ptr<const Checkpoint> checkpoint,
                                                   const BackendOptions& options);

}  // namespace kvtoll::cuda
