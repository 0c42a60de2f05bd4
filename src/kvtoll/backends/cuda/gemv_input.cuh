// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How a warp of a matrix-vector kernel brings its slices of x into shared memory, in the weights'
// dtype: as they come, or RMSNorm of the residual in two terms whose sum has the digits of fp32. No
// warp reads another's slices, so none waits for another.
#pragma once

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {

// Rows of k values pass in pieces of at most kPiece chunks (of 16 bytes).
template <class S>
__host__ __device__ constexpr int piece_count(int k) {
  return (k / 8 + S::kPiece - 1) / S::kPiece;
}

// A warp's chunks of a piece; of all warps they are equally many, in units of 64 bytes, so that no
// memory access is shared by two.
struct Slice {
  int first, count;  // chunks of the piece
};
template <class S>
__device__ __forceinline__ Slice slice_of(int k, int piece, int warp) {
  const int n = min(S::kPiece, k / 8 - piece * S::kPiece), units = (n + 3) / 4;
  const int first = units * warp / S::kWarps * 4;
  return {first, min(n, units * (warp + 1) / S::kWarps * 4) - first};
}

// A warp's x in shared memory: its slices one after the other, each filled up to kChunks with
// zeros; the second term of a normed x lies term_stride chunks behind the first, in other banks.
template <class S>
__host__ __device__ constexpr int term_stride(int k) {
  return piece_count<S>(k) * S::kChunks | 4;
}

template <class S>
__device__ __forceinline__ void load_plain(const GemvParams& p, uint4* x, int warp, int lane) {
  constexpr int kHeld = 5, kLoads = (S::kChunks + 31) / 32;  // pieces at once, chunks of a lane
  const uint4* from = static_cast<const uint4*>(p.x);
  const int pieces = piece_count<S>(p.k);
  pdl_wait();
  for (int piece0 = 0; piece0 < pieces; piece0 += kHeld) {
    uint4 v[kHeld][kLoads];
#pragma unroll
    for (int j = 0; j < kHeld * kLoads; ++j) {
      const int piece = piece0 + j / kLoads, i = lane + j % kLoads * 32;
      const Slice slice = slice_of<S>(p.k, piece, warp);
      const bool there = piece < pieces && i < slice.count;
      v[j / kLoads][j % kLoads] =
          there ? __ldcg(from + piece * S::kPiece + slice.first + i) : uint4{};
    }
#pragma unroll
    for (int j = 0; j < kHeld * kLoads; ++j) {
      const int piece = piece0 + j / kLoads, i = lane + j % kLoads * 32;
      if (piece < pieces && i < S::kChunks) x[piece * S::kChunks + i] = v[j / kLoads][j % kLoads];
    }
  }
}

// Four values in two terms: at[0] and, `stride` chunks further on, what rounding them left over.
template <class T>
__device__ __forceinline__ void store_terms(uint2* at, int stride, float4 v) {
  const uint2 high{pack2<T>(v.x, v.y), pack2<T>(v.z, v.w)};
  const float2 a = unpack2<T>(high.x), b = unpack2<T>(high.y);
  at[0] = high;
  at[2 * stride] = {pack2<T>(v.x - a.x, v.y - a.y), pack2<T>(v.z - b.x, v.w - b.y)};
}

// This lane's values of a slice; zeros beyond it.
enum Source { kConstant, kWritten };  // in this step
template <Source kSource, int kHeld>
__device__ __forceinline__ void load_slice(float4 (&to)[kHeld], const float4* from, int count,
                                           int lane) {
#pragma unroll
  for (int j = 0; j < kHeld; ++j) {
    const int i = lane + j * 32;
    to[j] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (i < count) to[j] = kSource == kConstant ? __ldg(from + i) : __ldcg(from + i);
  }
}

// residual * weight * a power of two that keeps them in fp16's range; returns what undoes that
// power. The factor 1 / rms is common to all of x, so it is applied to the sums and nobody waits
// for it here: the warp leaves its sum of squares in *squares.
template <class S, class T>
__device__ __forceinline__ float load_normed(const GemvParams& p, uint4* x, float* squares,
                                             int warp, int lane) {
  constexpr int kHeld = (2 * S::kChunks + 31) / 32;  // float4 of a lane in a piece
  const int pieces = piece_count<S>(p.k), stride = term_stride<S>(p.k);
  const float4* residual = static_cast<const float4*>(p.x);
  const float4* weight = reinterpret_cast<const float4*>(p.norm);
  const auto at = [&](int piece) {
    return (piece * S::kPiece + slice_of<S>(p.k, piece, warp).first) * 2;
  };
  const auto count = [&](int piece) { return 2 * slice_of<S>(p.k, piece, warp).count; };
  float sum = 0.0f;
  const auto add = [&](const float4(&v)[kHeld]) {
#pragma unroll
    for (int j = 0; j < kHeld; ++j)
      sum += v[j].x * v[j].x + v[j].y * v[j].y + v[j].z * v[j].z + v[j].w * v[j].w;
  };

  float4 w[kHeld], v[kHeld];  // of the first piece, which for most models is the only one
  load_slice<kConstant>(w, weight + at(0), count(0), lane);
  pdl_wait();
  load_slice<kWritten>(v, residual + at(0), count(0), lane);
  add(v);
  for (int piece = 1; piece < pieces; ++piece) {
    float4 more[kHeld];
    load_slice<kWritten>(more, residual + at(piece), count(piece), lane);
    add(more);
  }
  sum = warp_sum(sum);
  if (lane == 0) *squares = sum;
  // 1 / rms of the warp's values without its mantissa: scaling by it is exact.
  const float inverse = rsqrtf(fmaxf(sum, 1e-30f) * S::kWarps / static_cast<float>(p.k));
  const float scale = __uint_as_float(__float_as_uint(inverse) & 0x7f800000u);
  for (int piece = 0; piece < pieces; ++piece) {
    if (piece > 0) {
      load_slice<kConstant>(w, weight + at(piece), count(piece), lane);
      load_slice<kWritten>(v, residual + at(piece), count(piece), lane);
    }
    uint2* to = reinterpret_cast<uint2*>(x + piece * S::kChunks);
#pragma unroll
    for (int j = 0; j < kHeld; ++j)
      if (const int i = lane + j * 32; i < 2 * S::kChunks)
        store_terms<T>(to + i, stride,
                       make_float4(v[j].x * scale * w[j].x, v[j].y * scale * w[j].y,
                                   v[j].z * scale * w[j].z, v[j].w * scale * w[j].w));
  }
  return 1.0f / scale;
}

}  // namespace kvtoll::cuda
