// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Device memory with a purpose: every allocation goes through one DeviceMemory, carries a MemoryTag
// and is counted, so that the split by tag plus the context is what the driver reports.
// Example: DeviceMemory memory(0);
//          KVTOLL_TRY(auto cache, memory.allocate(Bytes(n), MemoryTag::kKvPayload));
#pragma once

#include <cstddef>
#include <utility>

#include "kvtoll/core/memory_tag.h"
#include "kvtoll/core/result.h"

namespace kvtoll {

class DeviceMemory;

// Owns one device allocation; gives it back, and is uncounted, when it goes.
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  ~DeviceBuffer() { reset(); }
  DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }
  DeviceBuffer& operator=(DeviceBuffer&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(tag_, other.tag_);
    return *this;
  }
  void reset() noexcept;
  Bytes bytes() const { return bytes_; }
  explicit operator bool() const { return data_ != nullptr; }
  template <class T = void>
  T* get() const {
    return static_cast<T*>(data_);
  }

 private:
  friend class DeviceMemory;
  DeviceMemory* memory_ = nullptr;
  void* data_ = nullptr;
  Bytes bytes_;
  MemoryTag tag_ = MemoryTag::kWorkspace;
};

class DeviceMemory {
 public:
  explicit DeviceMemory(int ordinal);  // creates the context

  // At least one byte, 256-byte aligned, rounded up to whole driver pages (kPage) when larger than
  // one. Errors: kOutOfMemory with what was asked and what is free; the process goes on.
  Result<DeviceBuffer> allocate(Bytes bytes, MemoryTag tag);

  MemorySplit used() const { return used_; }
  MemorySplit peak() const { return peak_; }  // the split at the moment of the largest total
  void reset_peak() { peak_ = used_; }
  Bytes free() const;                         // as the driver says now
  Bytes driver_used() const;                  // total - free, other processes included
  Bytes context() const { return context_; }  // driver_used before the first allocation

  static constexpr int64_t kPage = 2 << 20;

 private:
  friend class DeviceBuffer;
  void forget(void* data, Bytes bytes, MemoryTag tag) noexcept;
  MemorySplit used_, peak_;
  Bytes context_;
};

// Host memory the GPU can reach by DMA.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  explicit PinnedBuffer(Bytes bytes);
  ~PinnedBuffer();
  PinnedBuffer(PinnedBuffer&& other) noexcept { *this = std::move(other); }
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  Bytes bytes() const { return bytes_; }
  template <class T>
  T* get() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
  Bytes bytes_;
};

}  // namespace kvtoll
