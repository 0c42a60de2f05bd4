// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// HQQ on the device (specification: hqq.h). Encoding: hqq_scale_kernel, then hqq_solve_kernel
// (hqq_solver.cuh) until the host stops, hqq_meta_kernel, hqq_encode_kernel. Decoding as the
// library launches it: hqq_cast_kernel (8 bit), or for each part of a byte hqq_and_kernel,
// hqq_shift_kernel and hqq_copy_kernel; then hqq_sub_kernel and hqq_mul_kernel.
#pragma once

#include "kvtoll/formats/device_groups.cuh"

namespace kvtoll::device_formats {

// s and z of each group before the solver, already rounded to the solver's fp16.
template <class T, bool kWarp>
__global__ void hqq_scale_kernel(const T* __restrict__ x, Groups groups, float levels,
                                 float* __restrict__ s, float* __restrict__ z) {
  const int g = my_group<kWarp>(groups);
  if (g < 0) return;
  const Range range = range_of<T, kWarp>(x, groups, g);
  if (kWarp && threadIdx.x % 32 != 0) return;
  const float width = __fsub_rn(range.high, range.low);
  float scale = __fmul_rn(__fdiv_rn(1.0f, width), levels);
  if (fabsf(width) <= 1e-4f) scale = 1.0f;
  if (scale > 2e4f) scale = 2e4f;
  s[g] = fl<__half>(scale);
  z[g] = fl<__half>(__fmul_rn(-range.low, scale));
}

// step and zero in the cache's dtype.
template <class T>
__global__ void hqq_meta_kernel(const float* __restrict__ s, const float* __restrict__ z,
                                ScalePlace place, int groups, T* __restrict__ step,
                                T* __restrict__ zero) {
  const int g = static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (g >= groups) return;
  const int64_t at = place.of(g);
  step[at] = Numeric<T>::narrow(div<__half>(1.0f, s[g]));
  zero[at] = Numeric<T>::narrow(z[g]);
}

// Codes from the unrounded x: float, product and sum rounded apart.
template <class T, class Word>
__global__ void hqq_encode_kernel(const T* __restrict__ x, Groups groups, GroupOf group_of,
                                  Packing packing, float levels, const float* __restrict__ s,
                                  const float* __restrict__ z, Word* __restrict__ codes) {
  const int u = static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (u >= packing.units) return;
  pack_unit(packing, u, codes, [&](int i) {
    const int g = group_of.of(i);
    const float value = Numeric<T>::widen(x[groups.address(i)]);
    return code_of(level_of(__fadd_rn(__fmul_rn(value, s[g]), z[g]), levels));
  });
}

// 8 bit: codes to the cache's dtype, in the tensor's order; four codes a thread.
template <class T>
__global__ void hqq_cast_kernel(const uint8_t* __restrict__ codes, Packing packing,
                                T* __restrict__ y) {
  const int u = 4 * static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (u >= packing.units) return;
  if (u + 4 <= packing.units && packing.unit_row % 4 == 0) {
    const Four<uint8_t> in = *reinterpret_cast<const Four<uint8_t>*>(codes + u);
    Four<T> out;
#pragma unroll
    for (int k = 0; k < 4; ++k) out.v[k] = Numeric<T>::narrow(static_cast<float>(in.v[k]));
    *reinterpret_cast<Four<T>*>(y + packing.linear(u, 0)) = out;
  } else {
    for (int k = u; k < min(u + 4, packing.units); ++k)
      y[packing.linear(k, 0)] = Numeric<T>::narrow(static_cast<float>(codes[k]));
  }
}

// Four words a thread.
template <class Word, class Operation>
__device__ __forceinline__ void each_word(const Word* __restrict__ in, int n,
                                          Word* __restrict__ out, const Operation& operation) {
  const int i = 4 * static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (i + 4 <= n) {
    Four<Word> four = *reinterpret_cast<const Four<Word>*>(in + i);
#pragma unroll
    for (int k = 0; k < 4; ++k) four.v[k] = operation(four.v[k]);
    *reinterpret_cast<Four<Word>*>(out + i) = four;
  } else {
    for (int k = i; k < n; ++k) out[k] = operation(in[k]);
  }
}

// The bits of one part of each word.
template <class Word>
__global__ void hqq_and_kernel(const Word* __restrict__ in, Word mask, int n,
                               Word* __restrict__ out) {
  each_word(in, n, out, [mask](Word w) { return static_cast<Word>(w & mask); });
}

template <class Word>
__global__ void hqq_shift_kernel(const Word* __restrict__ in, int shift, int n,
                                 Word* __restrict__ out) {
  each_word(in, n, out, [shift](Word w) { return static_cast<Word>(w >> shift); });
}

// The codes of one part to their places, in the cache's dtype.
template <class T, class Word>
__global__ void hqq_copy_kernel(const Word* __restrict__ in, Packing packing, int part,
                                T* __restrict__ y) {
  const int u = static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (u >= packing.units) return;
  const int i = packing.linear(u, part);
  if (i >= 0) y[i] = Numeric<T>::narrow(static_cast<float>(in[u]));
}

// y[i] = fl(y[i] - zero) (kSub) or fl(y[i] * step); four elements a thread.
template <class T, bool kSub>
__device__ __forceinline__ void hqq_apply(GroupOf group_of, ScalePlace place,
                                          const T* __restrict__ parameter, int n,
                                          T* __restrict__ y) {
  const int i = 4 * static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (i >= n) return;
  const QuadScales parameters(group_of, place, i);
  auto value = [&](int k, T before) {
    const float a = Numeric<T>::widen(before);
    const float b = Numeric<T>::widen(parameter[parameters.of(k)]);
    return Numeric<T>::narrow(kSub ? sub<T>(a, b) : mul<T>(a, b));
  };
  if (i + 4 <= n) {
    Four<T> four = *reinterpret_cast<const Four<T>*>(y + i);
#pragma unroll
    for (int k = 0; k < 4; ++k) four.v[k] = value(k, four.v[k]);
    *reinterpret_cast<Four<T>*>(y + i) = four;
  } else {
    for (int k = i; k < n; ++k) y[k] = value(k - i, y[k]);
  }
}

template <class T>
__global__ void hqq_sub_kernel(GroupOf group_of, ScalePlace place, const T* __restrict__ zero,
                               int n, T* __restrict__ y) {
  hqq_apply<T, true>(group_of, place, zero, n, y);
}

template <class T>
__global__ void hqq_mul_kernel(GroupOf group_of, ScalePlace place, const T* __restrict__ step,
                               int n, T* __restrict__ y) {
  hqq_apply<T, false>(group_of, place, step, n, y);
}

}  // namespace kvtoll::device_formats
