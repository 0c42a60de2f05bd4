// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <cuda_runtime.h>

#include <algorithm>

#include "kvtoll/device/cuda_error.h"
#include "kvtoll/device/memory.h"

namespace kvtoll {

DeviceMemory::DeviceMemory(int ordinal) {
  KVTOLL_CUDA(cudaSetDevice(ordinal));
  KVTOLL_CUDA(cudaFree(nullptr));  // the context, now, so that it is not charged to us
  context_ = driver_used();
}

Bytes DeviceMemory::free() const {
  size_t free = 0, total = 0;
  KVTOLL_CUDA(cudaMemGetInfo(&free, &total));
  return Bytes(static_cast<int64_t>(free));
}

Bytes DeviceMemory::driver_used() const {
  size_t free = 0, total = 0;
  KVTOLL_CUDA(cudaMemGetInfo(&free, &total));
  return Bytes(static_cast<int64_t>(total - free));
}

Result<DeviceBuffer> DeviceMemory::allocate(Bytes bytes, MemoryTag tag) {
  int64_t n = std::max<int64_t>(bytes.value, 1);
  if (n > kPage) n = (n + kPage - 1) / kPage * kPage;
  void* data = nullptr;
  const cudaError_t code = cudaMalloc(&data, static_cast<size_t>(n));
  if (code == cudaErrorMemoryAllocation) {
    (void)cudaGetLastError();
    return make_error(ErrorKind::kOutOfMemory,
                      "the GPU has no room for {:.3f} GB more ({}); {:.3f} GB are free", n / 1e9,
                      kMemoryTagNames[static_cast<size_t>(tag)], free().value / 1e9);
  }
  KVTOLL_CUDA(code);
  DeviceBuffer buffer;
  buffer.memory_ = this;
  buffer.data_ = data;
  buffer.bytes_ = Bytes(n);
  buffer.tag_ = tag;
  used_[tag] += Bytes(n);
  if (used_.total() > peak_.total()) peak_ = used_;
  return buffer;
}

void DeviceMemory::forget(void* data, Bytes bytes, MemoryTag tag) noexcept {
  cuda_ignore(cudaFree(data), "cudaFree");
  used_[tag] -= bytes;
}

void DeviceBuffer::reset() noexcept {
  if (data_) memory_->forget(data_, bytes_, tag_);
  data_ = nullptr;
  memory_ = nullptr;
  bytes_ = Bytes();
}

PinnedBuffer::PinnedBuffer(Bytes bytes) : bytes_(bytes) {
  KVTOLL_CUDA(cudaHostAlloc(&data_, static_cast<size_t>(bytes.value), cudaHostAllocDefault));
}

PinnedBuffer::~PinnedBuffer() {
  if (data_) cuda_ignore(cudaFreeHost(data_), "cudaFreeHost");
}

}  // namespace kvtoll
