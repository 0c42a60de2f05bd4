// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>
#include <fmt/core.h>

#include "kvtoll/device/datasheet.h"
#include "kvtoll/device/device_info.h"

namespace kvtoll {
namespace {

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

std::string why_not(cudaError_t code) {
  if (code == cudaErrorInsufficientDriver)
    return "the NVIDIA driver is older than this kvtoll's CUDA runtime, or there is none; install "
           "a driver for CUDA 12.4 or newer";
  return fmt::format("CUDA says {} ({}); `nvidia-smi` should list the GPU",
                     cudaGetErrorString(code), cudaGetErrorName(code));
}

}  // namespace

int device_count() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess) (void)cudaGetLastError();
  return code == cudaSuccess ? count : 0;
}

DeviceInfo device_info(int ordinal) {
  DeviceInfo info;
  info.ordinal = ordinal;
  int count = 0;
  cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && ordinal >= count) {
    info.reason = fmt::format("there is no CUDA device {}: this machine has {}", ordinal, count);
    return info;
  }
  cudaDeviceProp prop{};
  if (code == cudaSuccess) code = cudaGetDeviceProperties(&prop, ordinal);
  if (code == cudaSuccess) code = cudaSetDevice(ordinal);
  size_t free = 0, total = 0;
  if (code == cudaSuccess) code = cudaMemGetInfo(&free, &total);
  if (code != cudaSuccess) {
    (void)cudaGetLastError();
    info.reason = why_not(code);
    return info;
  }
  int driver = 0, runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  info.available = true;
  info.name = prop.name;
  info.major = prop.major;
  info.minor = prop.minor;
  info.multiprocessors = prop.multiProcessorCount;
  info.total = Bytes(static_cast<int64_t>(total));
  info.free = Bytes(static_cast<int64_t>(free));
  info.l2 = Bytes(prop.l2CacheSize);
  info.peak_gb_s = datasheet_peak_gb_s(info.name);
  info.driver = version_text(driver);
  info.runtime = version_text(runtime);
  return info;
}

}  // namespace kvtoll
