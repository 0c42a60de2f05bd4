// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// HQQ on the device (specification: hqq.h). Encoding: hqq_scale_kernel, then the solver's kernels
// (hqq_solver.cuh, hqq_solver_fp32.cuh) until the error stops falling, hqq_meta_kernel,
// hqq_encode_kernel. Decoding as the library launches it: hqq_cast_kernel (8 bit), or for each part
// of a byte hqq_and_kernel, hqq_shift_kernel and hqq_copy_kernel; then hqq_sub_kernel and
// hqq_mul_kernel.
#pragma once

#include "kvtoll/formats/device_groups.cuh"

namespace kvtoll::device_formats {

// s and z of each group before the solver, already rounded to its dtype. half: fp16, else float.
template <class T, bool kWarp>
__global__ void hqq_scale_kernel(Strided<const T> x, Groups groups, float levels, bool half,
                                 Strided<float> s, Strided<float> z,
                                 const __grid_constant__ KvRows rows) {
  const int g = my_group<kWarp>(groups);
  if (g < 0) return;
  const Range range = range_of<T, kWarp>(x.at(values_of(rows)), groups, g);
  if (kWarp && threadIdx.x % 32 != 0) return;
  const float width = __fsub_rn(range.high, range.low);
  float scale = __fmul_rn(__fdiv_rn(1.0f, width), levels);
  if (fabsf(width) <= 1e-4f) scale = 1.0f;
  if (scale > 2e4f) scale = 2e4f;
  const float zero = __fmul_rn(-range.low, scale);
  s.at(blockIdx.y)[g] = half ? fl<__half>(scale) : scale;
  z.at(blockIdx.y)[g] = half ? fl<__half>(zero) : zero;
}

// step and zero in the cache's dtype. half: the solver's dtype is fp16, else float.
template <class T>
__global__ void hqq_meta_kernel(Strided<const float> s, Strided<const float> z, bool half,
                                ScalePlace place, int groups, Strided<T> step, Strided<T> zero,
                                const __grid_constant__ KvRows rows) {
  const int g = static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (g >= groups) return;
  const int64_t at = place.of(g);
  const float units = __fdiv_rn(1.0f, s.at(blockIdx.y)[g]);
  step.at(store_of(rows))[at] = Numeric<T>::narrow(half ? fl<__half>(units) : units);
  zero.at(store_of(rows))[at] = Numeric<T>::narrow(z.at(blockIdx.y)[g]);
}

// Codes from the unrounded x: float, product and sum rounded apart.
template <class T, class Word>
__global__ void hqq_encode_kernel(Strided<const T> xs, Groups groups, GroupOf group_of,
                                  Packing packing, float levels, Strided<const float> ss,
                                  Strided<const float> zs, Strided<Word> codes,
                                  const __grid_constant__ KvRows rows) {
  const int u = static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (u >= packing.units) return;
  const T* __restrict__ x = xs.at(values_of(rows));
  const float* __restrict__ s = ss.at(blockIdx.y), * __restrict__ z = zs.at(blockIdx.y);
  pack_unit(packing, u, codes.at(store_of(rows)), [&](int i) {
    const int g = group_of.of(i);
    const float value = Numeric<T>::widen(x[groups.address(i)]);
    return code_of(level_of(__fadd_rn(__fmul_rn(value, s[g]), z[g]), levels));
  });
}

// 8 bit: codes to the cache's dtype, in the tensor's order; four codes a thread.
template <class T>
__global__ void hqq_cast_kernel(Strided<const uint8_t> stores, Packing packing, Strided<T> ys,
                                const __grid_constant__ KvRows rows) {
  const int u = 4 * static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (u >= packing.units) return;
  const uint8_t* __restrict__ codes = stores.at(store_of(rows));
  T* __restrict__ y = ys.at(values_of(rows));
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

// The bits of one part of each word.
template <class Word>
__global__ void hqq_and_kernel(Strided<const Word> in, Word mask, int n, Strided<Word> out,
                               const __grid_constant__ KvRows rows) {
  map_four(in.at(store_of(rows)), n, out.at(blockIdx.y),
           [mask](int, Word w) { return static_cast<Word>(w & mask); });
}

template <class Word>
__global__ void hqq_shift_kernel(Strided<const Word> in, int shift, int n, Strided<Word> out,
                                 const __grid_constant__ KvRows) {
  map_four(in.at(blockIdx.y), n, out.at(blockIdx.y),
           [shift](int, Word w) { return static_cast<Word>(w >> shift); });
}

// The codes of one part to their places, in the cache's dtype.
template <class T, class Word>
__global__ void hqq_copy_kernel(Strided<const Word> in, Packing packing, int part, Strided<T> y,
                                const __grid_constant__ KvRows rows) {
  const int u = static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (u >= packing.units) return;
  const int i = packing.linear(u, part);
  if (i >= 0)
    y.at(values_of(rows))[i] = Numeric<T>::narrow(static_cast<float>(in.at(blockIdx.y)[u]));
}

// y[i] = fl(y[i] - zero) (kSub) or fl(y[i] * step); four elements a thread.
template <class T, bool kSub>
__device__ __forceinline__ void hqq_apply(const GroupOf& group_of, const ScalePlace& place,
                                          const T* __restrict__ parameter, int n, T* y) {
  const QuadScales at(group_of, place);
  map_four(y, n, y, [&](int k, T before) {
    const float a = Numeric<T>::widen(before);
    const float b = Numeric<T>::widen(parameter[at.of(k)]);
    return Numeric<T>::narrow(kSub ? sub<T>(a, b) : mul<T>(a, b));
  });
}

template <class T>
__global__ void hqq_sub_kernel(GroupOf group_of, ScalePlace place, Strided<const T> zero, int n,
                               Strided<T> y, const __grid_constant__ KvRows rows) {
  hqq_apply<T, true>(group_of, place, zero.at(store_of(rows)), n, y.at(values_of(rows)));
}

template <class T>
__global__ void hqq_mul_kernel(GroupOf group_of, ScalePlace place, Strided<const T> step, int n,
                               Strided<T> y, const __grid_constant__ KvRows rows) {
  hqq_apply<T, false>(group_of, place, step.at(store_of(rows)), n, y.at(values_of(rows)));
}

}  // namespace kvtoll::device_formats
