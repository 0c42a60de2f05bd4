// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How many bytes each CPU operation must move at least, read plus written: the named functions that
// trace, bench and report share. Activations are fp32; n is the number of tokens in the step.
#pragma once

#include <cstdint>

#include "kvtoll/core/dtype.h"
#include "kvtoll/core/units.h"

namespace kvtoll::cpu {

inline constexpr int64_t kActivation = 4;  // bytes of an fp32 activation

// w [rows, in] once, x [n, in], y [n, rows]; y twice when it is added to.
constexpr Bytes matmul_bytes(Bytes weights, int64_t rows, int64_t in, int64_t n, bool add) {
  return weights + Bytes(n * (in + rows * (add ? 2 : 1)) * kActivation);
}
constexpr Bytes embed_bytes(int64_t n, int64_t hidden, DType dtype) {
  return Bytes(n * hidden * (dtype_size(dtype) + kActivation));
}
// x and y [n, width], the weight [width] once.
constexpr Bytes norm_bytes(int64_t n, int64_t width) {
  return Bytes((2 * n + 1) * width * kActivation);
}
// q and k read and written in place, v read and written, cos and sin [n, head_dim].
constexpr Bytes rope_bytes(int64_t n, int64_t q_width, int64_t kv_width, int64_t head_dim) {
  return Bytes(n * (2 * q_width + 4 * kv_width + head_dim) * kActivation);
}
// New values of one tensor: read as fp32, written in the storage dtype.
constexpr Bytes append_bytes(int64_t n, int64_t kv_width, DType dtype) {
  return Bytes(n * kv_width * (kActivation + dtype_size(dtype)));
}
// A store of one tensor: its payload and scales read, its tokens written as fp32.
constexpr Bytes dequantize_bytes(Bytes payload_and_scales, int64_t tokens, int64_t kv_width) {
  return payload_and_scales + Bytes(tokens * kv_width * kActivation);
}
// Values that go into a store: read as fp32, written as payload and scales.
constexpr Bytes quantize_bytes(int64_t tokens, int64_t kv_width, Bytes payload_and_scales) {
  return payload_and_scales + Bytes(tokens * kv_width * kActivation);
}
// One run of positions of one tensor, read once.
constexpr Bytes kv_read_bytes(int64_t tokens, int64_t kv_width, DType dtype) {
  return Bytes(tokens * kv_width * dtype_size(dtype));
}
// q read, the output written; the cache's runs come on top.
constexpr Bytes attention_io_bytes(int64_t n, int64_t q_width) {
  return Bytes(2 * n * q_width * kActivation);
}
// gate and up read, their product written.
constexpr Bytes swiglu_bytes(int64_t n, int64_t ffn) { return Bytes(3 * n * ffn * kActivation); }
constexpr Bytes argmax_bytes(int64_t rows, int64_t vocab) {
  return Bytes(rows * vocab * kActivation);
}

}  // namespace kvtoll::cpu
