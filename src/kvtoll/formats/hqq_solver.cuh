// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One iteration of HQQ's solver on the device (specification: hqq_solver.h, the fp16 form). Sums
// are exact, so that they do not depend on the order: a group's terms in double, |e| of the whole
// tensor as a 64-bit count of 2^-24, fp16's smallest step.
#pragma once

#include "kvtoll/formats/device_groups.cuh"

namespace kvtoll::device_formats {

// What the host reads after an iteration.
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

// Whether iteration i of a row still happens: the error has fallen in every one before it.
// errors: [iteration][row].
__device__ __forceinline__ bool still_falls(const SolverError* errors, int rows, int i, int64_t n) {
  float best = INFINITY;
  for (int j = 0; j < i; ++j) {
    const uint4 bits =
        __ldcg(reinterpret_cast<const uint4*>(errors + j * rows + static_cast<int>(blockIdx.y)));
    const SolverError error{(static_cast<unsigned long long>(bits.y) << 32) | bits.x, bits.z, 0};
    const float mean = mean_error(error, n);
    if (!(mean < best)) return false;
    best = mean;
  }
  return true;
}

// sign(e) * max(|e| - 0.1 |e|^p, 0): the power in double, rounded to float and fp16 as on the host.
__device__ __forceinline__ float hqq_shrink(float e) {
  const float a = fabsf(e);
  if (a < 0.16f) return 0.0f;                 // 0.1 * 0.16^-0.3 = 0.173
  constexpr double kPower = -0.300048828125;  // fp16(-0.3)
  const float power = fl<__half>(static_cast<float>(pow(static_cast<double>(a), kPower)));
  const float shrunk = sub<__half>(a, mul<__half>(0.1f, power));
  const float positive = shrunk < 0.0f ? 0.0f : shrunk;
  return e < 0.0f ? -positive : positive;
}

// All values of |e| that fp16 has, for the test against hqq_shrink_table(): out [n].
static __global__ void hqq_shrink_kernel(int n, float* __restrict__ out,
                                         const __grid_constant__ KvRows) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) out[i] = hqq_shrink(__half2float(__ushort_as_half(static_cast<unsigned short>(i))));
}

// Iteration i: new z of every group, and the error in errors[i][row]; nothing after a row's last.
template <class T, bool kWarp>
__global__ void hqq_solve_kernel(Strided<const T> xs, Groups groups, float levels,
                                 Strided<const float> ss, Strided<float> zs, int i,
                                 SolverError* errors, const __grid_constant__ KvRows rows) {
  using H = __half;
  __shared__ bool goes_on;
  if (threadIdx.x == 0)
    goes_on = still_falls(errors, rows.count, i, int64_t{groups.count} * groups.size);
  __syncthreads();
  if (!goes_on) return;
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
      const float w = fl<H>(Numeric<T>::widen(x[groups.address(groups.linear(g, j))]));
      const float q = level_of(add<H>(mul<H>(w, scale), zero), levels);
      const float e = sub<H>(w, div<H>(sub<H>(q, zero), scale));
      const float term = sub<H>(q, mul<H>(sub<H>(w, hqq_shrink(e)), scale));
      sum += static_cast<double>(term);
      const float a = fabsf(e);
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
  z[g] = fl<H>(__fdiv_rn(static_cast<float>(sum), static_cast<float>(groups.size)));
}

}  // namespace kvtoll::device_formats
