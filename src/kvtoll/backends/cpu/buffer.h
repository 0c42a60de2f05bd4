// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Uninitialized host memory aligned for SIMD, on huge pages where the system gives them. Example:
// Buffer x;  x.resize(n * sizeof(float));  x.as<float>()
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "kvtoll/core/check.h"
#include "kvtoll/core/units.h"

namespace kvtoll::cpu {

class Buffer {
 public:
  // Grows to at least `bytes`; the content is lost when it grows. Never shrinks.
  void resize(int64_t bytes) {
    if (bytes <= size_) return;
    constexpr int64_t kHugePage = int64_t{2} << 20;
    const int64_t align = bytes >= 2 * kHugePage ? kHugePage : 64;
    const int64_t rounded = (bytes + align - 1) / align * align;
    data_.reset();
    data_.reset(static_cast<std::byte*>(
        std::aligned_alloc(static_cast<size_t>(align), static_cast<size_t>(rounded))));
    KVTOLL_CHECK(data_ != nullptr, "no memory for {} bytes", bytes);
    if (align == kHugePage) madvise(data_.get(), static_cast<size_t>(rounded), MADV_HUGEPAGE);
    size_ = bytes;
  }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_.get());
  }
  Bytes bytes() const { return Bytes(size_); }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  int64_t size_ = 0;
};

}  // namespace kvtoll::cpu
