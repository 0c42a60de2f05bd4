// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <cstdio>

#include "kvtoll/device/cuda_error.h"

namespace kvtoll {

CudaError::CudaError(const char* api, const std::string& call, int code, const std::string& name,
                     const std::string& text, const char* file, int line)
    : std::runtime_error(fmt::format("{}: {} failed with {} ({}): {}, at {}:{}", api, call, name,
                                     code, text, file, line)),
      api_(api),
      call_(call),
      name_(name),
      code_(code) {}

void throw_cuda_error(cudaError_t code, const char* call, const char* file, int line) {
  (void)cudaGetLastError();  // a non-sticky error must not surface again at the next call
  throw CudaError("cuda", call, static_cast<int>(code), cudaGetErrorName(code),
                  cudaGetErrorString(code), file, line);
}

void cuda_ignore(cudaError_t code, const char* call) noexcept {
  if (code == cudaSuccess || code == cudaErrorCudartUnloading) return;
  (void)cudaGetLastError();
  std::fprintf(stderr, "kvtoll: %s failed while cleaning up: %s\n", call, cudaGetErrorName(code));
}

}  // namespace kvtoll
