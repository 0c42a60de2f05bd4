// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The arithmetic of the formats on the device: values as float, each operation rounded to the cache
// dtype T (__half, __nv_bfloat16, float) exactly as on the host. The __f*_rn intrinsics are never
// contracted into an FMA.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace kvtoll::device_formats {

template <class T>
struct Numeric;
template <>
struct Numeric<__half> {
  static __device__ __forceinline__ float widen(__half x) { return __half2float(x); }
  static __device__ __forceinline__ __half narrow(float x) { return __float2half_rn(x); }
};
template <>
struct Numeric<__nv_bfloat16> {
  static __device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
  static __device__ __forceinline__ __nv_bfloat16 narrow(float x) { return __float2bfloat16_rn(x); }
};
template <>
struct Numeric<float> {
  static __device__ __forceinline__ float widen(float x) { return x; }
  static __device__ __forceinline__ float narrow(float x) { return x; }
};

template <class T>
__device__ __forceinline__ float fl(float x) {
  return Numeric<T>::widen(Numeric<T>::narrow(x));
}
template <class T>
__device__ __forceinline__ float mul(float a, float b) {
  return fl<T>(__fmul_rn(a, b));
}
template <class T>
__device__ __forceinline__ float add(float a, float b) {
  return fl<T>(__fadd_rn(a, b));
}
template <class T>
__device__ __forceinline__ float sub(float a, float b) {
  return fl<T>(__fsub_rn(a, b));
}
template <class T>
__device__ __forceinline__ float div(float a, float b) {
  return fl<T>(__fdiv_rn(a, b));
}

// clamp(rint(v), 0, levels), NaN kept.
__device__ __forceinline__ float level_of(float v, float levels) {
  return rintf(v < 0.0f ? 0.0f : (v > levels ? levels : v));
}
__device__ __forceinline__ uint32_t code_of(float level) {
  return level == level ? static_cast<uint32_t>(level) : 0u;
}

// Four neighbours of T, for 8- or 16-byte accesses.
template <class T>
struct alignas(4 * sizeof(T)) Four {
  T v[4];
};

// y[i + k] = f(k, x[i + k]) for the four elements, i to i + 3, that are this thread's, of n. y may
// be x.
template <class In, class Out, class F>
__device__ __forceinline__ void map_four(const In* x, int n, Out* y, const F& f) {
  const int i = 4 * static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (i + 4 <= n) {
    const Four<In> in = *reinterpret_cast<const Four<In>*>(x + i);
    Four<Out> out;
#pragma unroll
    for (int k = 0; k < 4; ++k) out.v[k] = f(k, in.v[k]);
    *reinterpret_cast<Four<Out>*>(y + i) = out;
  } else {
    for (int k = i; k < n; ++k) y[k] = f(k - i, x[k]);
  }
}

}  // namespace kvtoll::device_formats
