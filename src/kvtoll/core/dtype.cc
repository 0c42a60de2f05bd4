// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/dtype.h"

#include <fmt/format.h>

#include <cstring>

#include "kvtoll/core/half.h"

namespace kvtoll {

std::string_view dtype_name(DType t) {
  switch (t) {
    case DType::kF32:
      return "fp32";
    case DType::kF16:
      return "fp16";
    case DType::kBF16:
      return "bf16";
    case DType::kI32:
      return "int32";
    case DType::kI64:
      return "int64";
    case DType::kU8:
      return "uint8";
    case DType::kI8:
      return "int8";
    case DType::kI16:
      return "int16";
  }
  return "?";
}

std::optional<DType> parse_float_dtype(std::string_view name) {
  if (name == "fp32" || name == "float32" || name == "f32") return DType::kF32;
  if (name == "fp16" || name == "float16" || name == "f16") return DType::kF16;
  if (name == "bf16" || name == "bfloat16") return DType::kBF16;
  return std::nullopt;
}

std::string Shape::to_string() const {
  return fmt::format("[{}]", fmt::join(dims.begin(), dims.begin() + rank, ", "));
}

namespace {
template <class T>
T load(const void* data, int64_t i) {
  T value;
  std::memcpy(&value, static_cast<const char*>(data) + i * static_cast<int64_t>(sizeof(T)),
              sizeof(T));
  return value;
}
}  // namespace

float TensorView::at(int64_t i) const {
  switch (dtype) {
    case DType::kF32:
      return load<float>(data, i);
    case DType::kF16:
      return half_bits_to_float(load<uint16_t>(data, i));
    case DType::kBF16:
      return bfloat16_bits_to_float(load<uint16_t>(data, i));
    case DType::kI32:
      return static_cast<float>(load<int32_t>(data, i));
    case DType::kI64:
      return static_cast<float>(load<int64_t>(data, i));
    case DType::kU8:
      return load<uint8_t>(data, i);
    case DType::kI8:
      return load<int8_t>(data, i);
    case DType::kI16:
      return load<int16_t>(data, i);
  }
  return 0.0f;
}

}  // namespace kvtoll
