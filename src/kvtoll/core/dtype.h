// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Element types of tensors, and a view of a tensor that somebody else owns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kvtoll/core/units.h"

namespace kvtoll {

enum class DType : uint8_t { kF32, kF16, kBF16, kI32, kI64, kU8, kI8, kI16 };

constexpr int dtype_size(DType t) {
  switch (t) {
    case DType::kI64:
      return 8;
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF16:
    case DType::kBF16:
    case DType::kI16:
      return 2;
    case DType::kU8:
    case DType::kI8:
      return 1;
  }
  return 0;
}

std::string_view dtype_name(DType t);  // "fp16", "bf16", "fp32", "int32", ...
std::optional<DType> parse_float_dtype(
    std::string_view name);  // fp32/float32, fp16/float16, bf16/bfloat16

// Row-major shape of at most four dimensions.
struct Shape {
  std::array<int64_t, 4> dims{};
  int rank = 0;

  constexpr Shape() = default;
  constexpr Shape(std::initializer_list<int64_t> list) {
    for (int64_t d : list) dims[rank++] = d;
  }
  constexpr int64_t operator[](int i) const { return dims[i]; }
  constexpr int64_t elements() const {
    int64_t n = 1;
    for (int i = 0; i < rank; ++i) n *= dims[i];
    return n;
  }
  constexpr bool operator==(const Shape&) const = default;
  std::string to_string() const;  // "[151936, 896]"
};

struct TensorView {
  const void* data = nullptr;  // row-major, `shape` elements of `dtype`
  DType dtype = DType::kF32;
  Shape shape;

  Bytes bytes() const { return Bytes(shape.elements() * dtype_size(dtype)); }
  // Element i (linear index) as float; for tests, goldens and one-off conversions, not for loops
  // that must be fast.
  float at(int64_t i) const;
};

}  // namespace kvtoll
