// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Several arrays in one device allocation. Name them with add() (a pointer to fill and its bytes),
// then allocate() sets the pointers. Example:
//   Slab slab;  slab.add(&x, n * 4);  slab.add(&y, m * 2);
//   KVTOLL_TRY(DeviceBuffer memory, slab.allocate(device_memory, MemoryTag::kWorkspace));
#pragma once

#include <vector>

#include "kvtoll/device/memory.h"

namespace kvtoll::cuda {

class Slab {
 public:
  template <class T>
  void add(T** pointer, int64_t bytes) {
    parts_.push_back({reinterpret_cast<void**>(pointer), size_});
    size_ += (bytes + kAlign - 1) / kAlign * kAlign;
  }
  Bytes bytes() const { return Bytes(size_); }

  // Errors: kOutOfMemory.
  Result<DeviceBuffer> allocate(DeviceMemory& memory, MemoryTag tag) const {
    KVTOLL_TRY(DeviceBuffer buffer, memory.allocate(Bytes(size_), tag));
    for (const Part& part : parts_) *part.pointer = buffer.get<char>() + part.offset;
    return buffer;
  }

 private:
  static constexpr int64_t kAlign = 256;
  struct Part {
    void** pointer;
    int64_t offset;
  };
  std::vector<Part> parts_;
  int64_t size_ = 0;
};

}  // namespace kvtoll::cuda
