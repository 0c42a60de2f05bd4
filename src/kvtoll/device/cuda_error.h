// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A failed CUDA call, as an exception that says which call, with what code, where. Use KVTOLL_CUDA
// around every call; in destructors cuda_ignore(), which reports to stderr and goes on.
// Example: KVTOLL_CUDA(cudaMemcpy(to, from, n, cudaMemcpyDeviceToHost));
#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace kvtoll {

class CudaError : public std::runtime_error {
 public:
  CudaError(const char* api, const std::string& call, int code, const std::string& name,
            const std::string& text, const char* file, int line);
  const char* api() const { return api_; }  // "cuda" or "cublas"
  const std::string& call() const { return call_; }
  int code() const { return code_; }
  const std::string& name() const { return name_; }

 private:
  const char* api_;
  std::string call_, name_;
  int code_;
};

[[noreturn]] void throw_cuda_error(cudaError_t code, const char* call, const char* file, int line);
void cuda_ignore(cudaError_t code, const char* call) noexcept;

#define KVTOLL_CUDA(call)                                                      \
  do {                                                                         \
    const cudaError_t kvtoll_cuda_code = (call);                               \
    if (kvtoll_cuda_code != cudaSuccess)                                       \
      ::kvtoll::throw_cuda_error(kvtoll_cuda_code, #call, __FILE__, __LINE__); \
  } while (false)

}  // namespace kvtoll
