// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One iteration of HQQ's solver on the device (specification: hqq_solver.h): what both forms share,
// and the fp16 form (fp32: hqq_solver_fp32.cuh). The fp16 form's sums are exact, so that they do
// not depend on the order: a group's terms in double, |e| of the whole tensor as a 64-bit count of
// 2^-24, fp16's smallest step.
#pragma once

#include "kvtoll/formats/device_groups.cuh"
#include "kvtoll/formats/hqq_shrink.h"

namespace kvtoll::device_formats {

// The error of an iteration as the fp16 form leaves it; the fp32 form leaves its mean, a float.
struct SolverError {
  unsigned long long sum = 0;   // of |e|, in units of 2^-24
  unsigned int not_finite = 0;  // an infinite or NaN error
  unsigned int unused = 0;
};
static_assert(sizeof(SolverError) == 16);

// The mean |e| of n values, rounded as on the host (hqq_solver.cc, mean_of).
inline __host__ __device__ float mean_error(const SolverError& error, int64_t n) {
  if (error.not_finite) return INFINITY;
  const double sum = static_cast<double>(error.sum) * 0x1p-24;
  return __half2float(__float2half_rn(static_cast<float>(sum) / static_cast<float>(n)));
}
inline __host__ __device__ float mean_error(float mean, int64_t) { return mean; }

__device__ __forceinline__ SolverError read_error(const SolverError* error) {
  const uint4 bits = __ldcg(reinterpret_cast<const uint4*>(error));
  return {(static_cast<unsigned long long>(bits.y) << 32) | bits.x, bits.z, 0};
}
__device__ __forceinline__ float read_error(const float* mean) { return __ldcg(mean); }

// Whether iteration i of this block's row still happens: the error has fallen in every one before
// it. errors: [iteration][row]. For all threads of the block together.
template <class Error>
__device__ __forceinline__ bool still_falls(const Error* errors, const KvRows& rows, int i,
                                            const Groups& groups) {
  __shared__ bool falls;
  if (threadIdx.x == 0) {
    falls = true;
    float best = INFINITY;
    for (int j = 0; j < i && falls; ++j) {
      const float mean =
          mean_error(read_error(errors + j * rows.count + static_cast<int>(blockIdx.y)),
                     int64_t{groups.count} * groups.size);
      falls = mean < best;
      best = mean;
    }
  }
  __syncthreads();
  return falls;
}

// The shrinking operator; rarely more than the comparison, and its rest is long to compile.
template <class H>
__device__ __noinline__ float shrink_large(float e) {
  return hqq_shrink([](float v) { return fl<H>(v); }, e);
}
template <class H>
__device__ __forceinline__ float shrink(float e) {
  return fabsf(e) < kHqqShrinkFrom ? 0.0f : shrink_large<H>(e);
}

// One element with every step rounded to H, the solver's dtype.
template <class H>
struct SolverElement {
  float w, scale, q, e;

  __device__ __forceinline__ SolverElement(float x, float scale, float zero, float levels)
      : w(fl<H>(x)),
        scale(scale),
        q(level_of(add<H>(mul<H>(w, scale), zero), levels)),
        e(sub<H>(w, div<H>(sub<H>(q, zero), scale))) {}
  // What it adds to the new z of its group.
  __device__ __forceinline__ float term() const {
    return sub<H>(q, mul<H>(sub<H>(w, shrink<H>(e)), scale));
  }
};

// The shrinking operator on many errors, for the test against hqq_shrunk().
template <class H>
__global__ void hqq_shrink_kernel(const float* __restrict__ e, int n, float* __restrict__ out,
                                  const __grid_constant__ KvRows) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) out[i] = shrink<H>(e[i]);
}

// Iteration i: new z of every group, and the error in errors[i][row]; nothing after a row's last.
template <class T, bool kWarp>
__global__ void hqq_solve_kernel(Strided<const T> xs, Groups groups, float levels,
                                 Strided<const float> ss, Strided<float> zs, int i,
                                 SolverError* errors, const __grid_constant__ KvRows rows) {
  if (!still_falls(errors, rows, i, groups)) return;
  const T* __restrict__ x = xs.at(values_of(rows));
  const float* __restrict__ s = ss.at(blockIdx.y);
  float* __restrict__ z = zs.at(blockIdx.y);
  SolverError* error = errors + i * rows.count + static_cast<int>(blockIdx.y);
  const int g = my_group<kWarp>(groups);
  const int lane = threadIdx.x % 32;
  double sum = 0.0;
  unsigned long long error_sum = 0;
  bool finite = true;
  if (g >= 0) {
    const float scale = s[g], zero = z[g];
    for (int j = kWarp ? lane : 0; j < groups.size; j += kWarp ? 32 : 1) {
      const SolverElement<__half> element(Numeric<T>::widen(x[groups.address(groups.linear(g, j))]),
                                          scale, zero, levels);
      sum += static_cast<double>(element.term());
      const float a = fabsf(element.e);
      if (a <= 65504.0f)
        error_sum += static_cast<unsigned long long>(a * 16777216.0f);
      else
        finite = false;
    }
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    error_sum += __shfl_xor_sync(~0u, error_sum, offset);
    if (kWarp) sum += __shfl_xor_sync(~0u, sum, offset);
  }
  finite = __all_sync(~0u, finite);
  if (lane == 0) {
    atomicAdd(&error->sum, error_sum);
    if (!finite) atomicOr(&error->not_finite, 1u);
  }
  if (g < 0 || (kWarp && lane != 0)) return;
  z[g] = fl<__half>(__fdiv_rn(static_cast<float>(sum), static_cast<float>(groups.size)));
}

}  // namespace kvtoll::device_formats
