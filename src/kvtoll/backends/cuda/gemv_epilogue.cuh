// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What the matrix-vector kernels do with the sum of a row: store, add to the residual, gate, rotate
// and append to the cache.
#pragma once

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/numeric.cuh"

namespace kvtoll::cuda {

// What becomes of the sum of one row; all lanes of a warp call, lane l with row first + l of a
// batch. early() fetches what apply() needs while the products are still going on.
struct BiasRow {
  using Early = float;
  static __device__ __forceinline__ Early early(const GemvParams& p, int row, bool valid) {
    return valid && p.bias ? __ldg(p.bias + row) : 0.0f;
  }
};
struct StoreRow : BiasRow {
  template <class T>
  static __device__ __forceinline__ void apply(const GemvParams& p, float bias, float sum, int row,
                                               bool valid) {
    if (valid) static_cast<float*>(p.out)[row] = sum + bias;
  }
};
struct AddRow {
  using Early = float;
  static __device__ __forceinline__ Early early(const GemvParams& p, int row, bool valid) {
    const float old = valid ? __ldcg(static_cast<const float*>(p.out) + row) : 0.0f;
    return valid && p.bias ? old + __ldg(p.bias + row) : old;
  }
  template <class T>
  static __device__ __forceinline__ void apply(const GemvParams& p, float old, float sum, int row,
                                               bool valid) {
    if (valid) __stcg(static_cast<float*>(p.out) + row, old + sum);
  }
};
struct GateRow : BiasRow {  // even rows are gates, the next one's lane has the up
  template <class T>
  static __device__ __forceinline__ void apply(const GemvParams& p, float bias, float sum, int row,
                                               bool valid) {
    sum += bias;
    const float up = __shfl_down_sync(0xffffffffu, sum, 1);
    if (valid && row % 2 == 0) static_cast<T*>(p.out)[row / 2] = from_float<T>(silu(sum) * up);
  }
};
struct RopeRow {  // q and k rows come in pairs (i, i + half) next to each other; see weights.h
  struct Early {
    float bias = 0.0f;
    float2 turn{1.0f, 0.0f};  // cos, sin; of an odd row: the sine's sign turned
    void* to = nullptr;
  };
  static __device__ __forceinline__ Early early(const QkvRopeParams& p, int row, bool valid) {
    Early e;
    if (!valid) return e;
    if (p.bias) e.bias = __ldg(p.bias + row);
    const int dim = p.cache.dim, head = row / dim, r = row % dim, kv = head - p.heads;
    const bool rotated = kv < p.cache.kv_heads;
    int d = r;
    if (rotated) {
      e.turn = __ldcg(p.turns + r / 2);
      if (r % 2) e.turn.y = -e.turn.y;
      d = r / 2 + r % 2 * (dim / 2);
    }
    if (kv < 0) {
      e.to = static_cast<uint16_t*>(p.q) + head * dim + d;
      return e;
    }
    const int slot = row_slot(p.map, 0), position = row_position(p.map, 0);
    const int64_t kv_head = rotated ? kv : kv - p.cache.kv_heads;
    e.to = static_cast<uint16_t*>(rotated ? p.cache.k : p.cache.v) +
           ((slot * int64_t(p.cache.kv_heads) + kv_head) * p.cache.capacity + position) * dim + d;
    return e;
  }
  template <class T>
  static __device__ __forceinline__ void apply(const QkvRopeParams& p, const Early& e, float sum,
                                               int, bool valid) {
    sum += e.bias;
    const float other = __shfl_xor_sync(0xffffffffu, sum, 1);
    sum = sum * e.turn.x - other * e.turn.y;
    if (!valid) return;
    if (p.half)
      *static_cast<__half*>(e.to) = __float2half_rn(sum);
    else
      *static_cast<__nv_bfloat16*>(e.to) = __float2bfloat16_rn(sum);
  }
};

}  // namespace kvtoll::cuda
