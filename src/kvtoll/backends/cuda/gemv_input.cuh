// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How a warp of a matrix-vector kernel brings its slice of x into shared memory, in the weights'
// dtype: as it comes, or RMSNorm of the residual in two terms whose sum has the digits of fp32. No
// warp reads another's slice, so none waits for another.
#pragma once

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {

// The 16-byte chunks [first, first + count) of x: what one warp multiplies.
struct ChunkRange {
  int first, count;
};

// Where the second term of a normed x lies: chunks from the first, in other banks.
__host__ __device__ constexpr int term_stride(int k) { return (k / 8 + 7) / 8 * 8 + 4; }

// Copies the warp's chunks of p.x.
__device__ __forceinline__ void load_plain(const GemvParams& p, uint4* x, ChunkRange own,
                                           int lane) {
  constexpr int kHeld = 10;  // chunks a lane asks for at once
  const uint4* from = static_cast<const uint4*>(p.x) + own.first;
  x += own.first;
  pdl_wait();
  for (int first = lane; first < own.count; first += kHeld * 32) {
    uint4 v[kHeld];
#pragma unroll
    for (int j = 0; j < kHeld; ++j)
      if (const int i = first + j * 32; i < own.count) v[j] = __ldcg(from + i);
#pragma unroll
    for (int j = 0; j < kHeld; ++j)
      if (const int i = first + j * 32; i < own.count) x[i] = v[j];
  }
}

// Four values in two terms: at[0] and, `stride` chunks of 16 bytes further on, what rounding them
// left over.
template <class T>
__device__ __forceinline__ void store_terms(uint2* at, int stride, float4 v) {
  const uint2 high{pack2<T>(v.x, v.y), pack2<T>(v.z, v.w)};
  const float2 a = unpack2<T>(high.x), b = unpack2<T>(high.y);
  at[0] = high;
  at[2 * stride] = {pack2<T>(v.x - a.x, v.y - a.y), pack2<T>(v.z - b.x, v.w - b.y)};
}

// The warp's chunks of residual * weight * a power of two that keeps them in fp16's range; returns
// what undoes that power. The factor 1 / rms is common to all of x, so it is applied to the sums
// and nobody waits for it here: the warp leaves its sum of squares in *squares.
template <class T>
__device__ __forceinline__ float load_normed(const GemvParams& p, uint4* x, ChunkRange own,
                                             float* squares, int lane) {
  constexpr int kHeld = 4;  // float4 a lane asks for at once
  const int n = own.count * 2, stride = term_stride(p.k);
  const float4* from = static_cast<const float4*>(p.x) + own.first * 2;
  const float4* weight = reinterpret_cast<const float4*>(p.norm) + own.first * 2;
  uint2* to = reinterpret_cast<uint2*>(x + own.first);
  float4 w[kHeld], v[kHeld];
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = lane + j * 32; i < n) w[j] = __ldg(weight + i);
  pdl_wait();
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = lane + j * 32; i < n) v[j] = __ldcg(from + i);
  float sum = 0.0f;
  const auto add = [&](float4 a) { sum += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w; };
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = lane + j * 32; i < n) add(v[j]);
  for (int i = lane + kHeld * 32; i < n; i += 32) add(__ldcg(from + i));
  sum = warp_sum(sum);
  if (lane == 0) *squares = sum;
  // The slice's 1 / rms without its mantissa: scaling by it is exact.
  const float inverse = rsqrtf(fmaxf(sum, 1e-30f) / static_cast<float>(4 * max(n, 1)));
  const float scale = __uint_as_float(__float_as_uint(inverse) & 0x7f800000u);
  const auto keep = [&](int i, float4 a, float4 b) {
    store_terms<T>(
        to + i, stride,
        make_float4(a.x * scale * b.x, a.y * scale * b.y, a.z * scale * b.z, a.w * scale * b.w));
  };
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = lane + j * 32; i < n) keep(i, v[j], w[j]);
  for (int i = lane + kHeld * 32; i < n; i += 32) keep(i, __ldcg(from + i), __ldg(weight + i));
  return 1.0f / scale;
}

}  // namespace kvtoll::cuda
