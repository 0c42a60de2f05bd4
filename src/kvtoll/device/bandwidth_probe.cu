// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "kvtoll/device/bandwidth_probe.h"
#include "kvtoll/device/cuda_error.h"
#include "kvtoll/device/device_info.h"
#include "kvtoll/device/stream.h"

namespace kvtoll {
namespace {

constexpr int kThreads = 512, kUnroll = 8, kPasses = 9;

// Sums what it reads so that nothing is optimised away. data: [n] of 16 bytes.
__global__ void __launch_bounds__(kThreads)
    bandwidth_read_kernel(const uint4* data, int64_t n, uint32_t* sink) {
  uint32_t sum = 0;
  const int64_t stride = int64_t(gridDim.x) * kThreads * kUnroll;
  for (int64_t i = (int64_t(blockIdx.x) * kUnroll) * kThreads + threadIdx.x; i < n; i += stride) {
    uint4 v[kUnroll];
#pragma unroll
    for (int u = 0; u < kUnroll; ++u)
      v[u] = i + u * kThreads < n ? __ldcs(data + i + u * kThreads) : uint4{};
#pragma unroll
    for (int u = 0; u < kUnroll; ++u) sum += v[u].x ^ v[u].y ^ v[u].z ^ v[u].w;
  }
  if (sum == 0x9e3779b9u) *sink = sum;
}

__global__ void __launch_bounds__(kThreads)
    bandwidth_copy_kernel(const uint4* from, uint4* to, int64_t n) {
  const int64_t stride = int64_t(gridDim.x) * kThreads * 4;
  for (int64_t i = (int64_t(blockIdx.x) * 4) * kThreads + threadIdx.x; i < n; i += stride) {
    uint4 v[4];
#pragma unroll
    for (int u = 0; u < 4; ++u)
      if (i + u * kThreads < n) v[u] = __ldcs(from + i + u * kThreads);
#pragma unroll
    for (int u = 0; u < 4; ++u)
      if (i + u * kThreads < n) __stcs(to + i + u * kThreads, v[u]);
  }
}

template <class Launch>
double median_gb_s(cudaStream_t stream, double bytes, const Launch& launch) {
  std::vector<double> rates;
  Event start, stop;
  for (int pass = 0; pass < kPasses; ++pass) {
    start.record(stream);
    launch();
    stop.record(stream);
    stop.synchronize();
    rates.push_back(bytes / (stop.since(start) * 1e6));
  }
  std::nth_element(rates.begin(), rates.begin() + kPasses / 2, rates.end());
  return rates[kPasses / 2];
}

}  // namespace

Result<MeasuredBandwidth> measure_bandwidth(DeviceMemory& memory) {
  int64_t bytes = int64_t{4} << 30;
  while (bytes > memory.free().value / 2 && bytes > (int64_t{128} << 20)) bytes /= 2;
  KVTOLL_TRY(DeviceBuffer buffer, memory.allocate(Bytes(bytes), MemoryTag::kWorkspace));
  KVTOLL_TRY(DeviceBuffer sink, memory.allocate(Bytes(4), MemoryTag::kWorkspace));
  int device = 0, sms = 0;
  KVTOLL_CUDA(cudaGetDevice(&device));
  KVTOLL_CUDA(cudaDeviceGetAttribute(&sms, cudaDevAttrMultiProcessorCount, device));
  Stream stream;
  // Not zeros: they can be faster than data.
  KVTOLL_CUDA(cudaMemsetAsync(buffer.get(), 0x5a, static_cast<size_t>(bytes), stream.get()));
  const int64_t n = bytes / 16, half = n / 2;
  MeasuredBandwidth out;
  out.read_gb_s = median_gb_s(stream.get(), static_cast<double>(n) * 16, [&] {
    bandwidth_read_kernel<<<sms * 4, kThreads, 0, stream.get()>>>(buffer.get<const uint4>(), n,
                                                                  sink.get<uint32_t>());
    KVTOLL_CUDA(cudaGetLastError());
  });
  out.copy_gb_s = median_gb_s(stream.get(), static_cast<double>(half) * 32, [&] {
    bandwidth_copy_kernel<<<sms * 4, kThreads, 0, stream.get()>>>(buffer.get<const uint4>(),
                                                                  buffer.get<uint4>() + half, half);
    KVTOLL_CUDA(cudaGetLastError());
  });
  return out;
}

Result<MeasuredBandwidth> measure_bandwidth(int ordinal) {
  const DeviceInfo device = device_info(ordinal);
  if (!device.available) return tl::unexpected<Error>({ErrorKind::kMachine, device.reason});
  try {
    DeviceMemory memory(ordinal);
    return measure_bandwidth(memory);
  } catch (const CudaError& error) {
    return tl::unexpected<Error>({ErrorKind::kMachine, error.what()});
  }
}

}  // namespace kvtoll
