// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/backends/cuda/rope.h"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {
namespace {

constexpr int kWarps = 4;
constexpr int kPairs = 4;  // pairs a lane holds: head sizes up to 256

}  // namespace

// One warp a head of one row. Grid: ceil((heads + 2 kv_heads) / kWarps) x rows.
template <class T>
__global__ void __launch_bounds__(kWarps * 32) rope_append_kernel(RopeParams p) {
  pdl_trigger();
  const int lane = threadIdx.x % 32, row = blockIdx.y;
  const int item = blockIdx.x * kWarps + threadIdx.x / 32;
  const int dim = p.cache.dim, half = dim / 2, items = p.heads + 2 * p.cache.kv_heads;
  pdl_wait();
  if (item >= items) return;
  const bool is_q = item < p.heads, is_k = !is_q && item < p.heads + p.cache.kv_heads;
  const float* in = p.qkv + (int64_t(row) * items + item) * dim;
  const float* bias = p.bias ? p.bias + item * dim : nullptr;

  // --- pair i is (i, i + half); in q and k they lie side by side
  float low[kPairs], high[kPairs], squares = 0.0f;
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + 32 * j;
    if (i >= half) continue;
    const int a = is_q || is_k ? 2 * i : i, b = is_q || is_k ? 2 * i + 1 : i + half;
    low[j] = __ldcg(in + a) + (bias ? bias[a] : 0.0f);
    high[j] = __ldcg(in + b) + (bias ? bias[b] : 0.0f);
    squares += low[j] * low[j] + high[j] * high[j];
  }
  const float* norm = is_q ? p.q_norm : is_k ? p.k_norm : nullptr;
  const float rms = norm ? rsqrtf(warp_sum(squares) / static_cast<float>(dim) + p.eps) : 1.0f;

  // --- where it goes
  const int slot = row_slot(p.rows, row), position = row_position(p.rows, row);
  T* out;
  if (is_q) {
    out = static_cast<T*>(p.q) + (int64_t(row) * p.heads + item) * dim;
  } else {
    const int head = is_k ? item - p.heads : item - p.heads - p.cache.kv_heads;
    const int* start = is_k ? p.k_start : p.v_start;
    const int first = p.place == RopeParams::Place::kSlot  ? slot
                      : p.place == RopeParams::Place::kRow ? row
                                                           : 0;
    out = static_cast<T*>(is_k ? p.cache.k : p.cache.v) +
          ((int64_t(first) * p.cache.kv_heads + head) *
               (is_k ? p.cache.capacity : p.cache.v_capacity) +
           position - (start ? start[slot] : 0)) *
              dim;
  }
#pragma unroll
  for (int j = 0; j < kPairs; ++j) {
    const int i = lane + 32 * j;
    if (i >= half) continue;
    float a = low[j], b = high[j];
    if (norm) a = a * rms * norm[i], b = b * rms * norm[i + half];
    if (is_q || is_k) {
      float sine, cosine;
      sincosf(p.inv_freq[i] * static_cast<float>(position), &sine, &cosine);
      sine *= p.attention_factor, cosine *= p.attention_factor;
      const float rotated = a * cosine - b * sine;
      b = b * cosine + a * sine;
      a = rotated;
    }
    out[i] = from_float<T>(a);
    out[i + half] = from_float<T>(b);
  }
}

void launch_rope_append(const RopeParams& p, DType cache_dtype, const LaunchContext& launch) {
  const int items = p.heads + 2 * p.cache.kv_heads;
  LaunchShape shape;
  shape.grid = dim3((items + kWarps - 1) / kWarps, p.row_count);
  shape.block = dim3(kWarps * 32);
  shape.overlap = launch.overlap;
  launch_kernel(
      cache_dtype == DType::kF16 ? rope_append_kernel<__half> : rope_append_kernel<__nv_bfloat16>,
      shape, launch.stream, p);
}

Bytes rope_append_bytes(int rows, int heads, int kv_heads, int dim) {
  return Bytes(int64_t(rows) * (heads + 2 * kv_heads) * dim * (4 + 2));
}

}  // namespace kvtoll::cuda
