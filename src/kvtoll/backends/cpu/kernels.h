// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The CPU's arithmetic on raw pointers: single-threaded pieces of one operation, SIMD by run-time
// dispatch (Highway: SSE2 to AVX-512). The backend splits rows and heads over threads and calls
// these. Sums are kept in fp32. Example: matmul_rows({.w = w, .in = 576, ...}, begin, end);
#pragma once

#include <cstdint>

#include "kvtoll/core/dtype.h"

namespace kvtoll::cpu {

// y[t, r] = sum_k w[r, k] x[t, k] (+ bias[r]) (+ y[t, r] when `add`) for rows [begin, end).
struct Matmul {
  const void* w = nullptr;  // [rows, in], fp16, bf16 or fp32
  DType dtype = DType::kF16;
  int64_t in = 0;
  const float* x = nullptr;  // [tokens, in]
  int64_t tokens = 0;
  float* y = nullptr;  // [tokens, y_stride]
  int64_t y_stride = 0;
  const float* bias = nullptr;  // [rows] or null
  bool add = false;
};
void matmul_rows(const Matmul& m, int64_t begin, int64_t end);

// y = x / sqrt(mean(x^2) + eps) * weight, all [n]. y may be x.
void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* y);
// Rotates pairs (i, i + half) of one head in place; cos and sin are [half].
void rope(float* head, const float* cos, const float* sin, int64_t half);
// h = silu(gate) * up, all [n].
void swiglu(const float* gate, const float* up, int64_t n, float* h);
// Index of the first largest value.
int32_t argmax(const float* x, int64_t n);

// Between fp32 and a storage dtype, nearest even.
void narrow(const float* x, int64_t n, DType dtype, void* y);
void widen(const void* x, DType dtype, int64_t n, float* y);
void round_to(float* x, int64_t n, DType dtype);  // x = fl(x)

// A run of positions of one kv head.
struct AttentionChunk {
  const void* k = nullptr;  // [count, dim], rows k_stride elements apart
  const void* v = nullptr;
  DType k_dtype = DType::kF16, v_dtype = DType::kF16;
  int64_t k_stride = 0, v_stride = 0;
  int64_t count = 0;  // at most kAttentionChunk
};
inline constexpr int64_t kAttentionChunk = 256;

// The running softmax of the query heads that share a kv head.
struct AttentionState {
  float* max;  // [rows], -inf at first
  float* sum;  // [rows], 0 at first
  float* acc;  // [rows, dim], 0 at first: sum of exp(score - max) v
};
// Adds a chunk's positions to the state of `rows` queries q [rows, dim] (scaled by `scale`).
// scores: scratch, [rows, kAttentionChunk].
void attend_chunk(const AttentionChunk& chunk, const float* q, int rows, int64_t dim, float scale,
                  const AttentionState& state, float* scores);

const char* simd_name();  // the target that the dispatch picked, e.g. "AVX3_ZEN4"

}  // namespace kvtoll::cpu
