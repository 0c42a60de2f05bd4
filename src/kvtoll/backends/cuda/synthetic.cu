// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/backends/cuda/synthetic.h"
#include "kvtoll/core/rng.h"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ float rounded(float v, DType as) {
  if (as == DType::kF16) return __half2float(__float2half_rn(v));
  if (as == DType::kBF16) return __bfloat162float(__float2bfloat16_rn(v));
  return v;
}

__device__ __forceinline__ void store(const WeightTarget& t, int64_t i, float v) {
  int64_t at = i;
  if (t.row_step != 1 || t.half != 0) {
    int64_t row = i / t.cols;
    if (t.half != 0) {
      const int64_t d = row % (2 * t.half);
      row += (d < t.half ? 2 * d : 2 * (d - t.half) + 1) - d;
    }
    at = row * t.row_step * t.cols + i % t.cols;
  }
  if (t.dtype == DType::kF16)
    static_cast<__half*>(t.to)[at] = __float2half_rn(v);
  else if (t.dtype == DType::kBF16)
    static_cast<__nv_bfloat16*>(t.to)[at] = __float2bfloat16_rn(v);
  else
    static_cast<float*>(t.to)[at] = v;
}

__device__ __forceinline__ float load(const void* from, DType dtype, int64_t i) {
  if (dtype == DType::kF16) return __half2float(static_cast<const __half*>(from)[i]);
  if (dtype == DType::kBF16) return __bfloat162float(static_cast<const __nv_bfloat16*>(from)[i]);
  return static_cast<const float*>(from)[i];
}

LaunchShape shape_for(int64_t items) {
  const int64_t blocks = (items + kThreads - 1) / kThreads;
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(blocks < 132 * 32 ? blocks : 132 * 32));
  shape.block = dim3(kThreads);
  return shape;
}

}  // namespace

__global__ void __launch_bounds__(kThreads)
    synthetic_kernel(SyntheticRule rule, DType as, DType then, WeightTarget target) {
  const int64_t n = target.rows * target.cols, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += stride) {
    // Two roundings, as the host has them: no fused multiply-add.
    const float scaled =
        __fmul_rn(rule.scale, random_symmetric(rule.seed, rule.stream, static_cast<uint64_t>(i)));
    store(target, i, rounded(rounded(__fadd_rn(rule.offset, scaled), as), then));
  }
}

__global__ void __launch_bounds__(kThreads)
    convert_kernel(const void* from, DType from_dtype, DType as, WeightTarget target) {
  const int64_t n = target.rows * target.cols, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < n; i += stride)
    store(target, i, rounded(load(from, from_dtype, i), as));
}

void launch_synthetic(const SyntheticRule& rule, DType as, DType then, const WeightTarget& target,
                      cudaStream_t stream) {
  launch_kernel(synthetic_kernel, shape_for(target.rows * target.cols), stream, rule, as, then,
                target);
}

void launch_convert(const void* from, DType from_dtype, DType as, const WeightTarget& target,
                    cudaStream_t stream) {
  launch_kernel(convert_kernel, shape_for(target.rows * target.cols), stream, from, from_dtype, as,
                target);
}

}  // namespace kvtoll::cuda
