// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kvtoll/backends/cuda/gemv.cuh"
#include "kvtoll/core/check.h"

namespace kvtoll::cuda {

using S = DefaultGemvShape;

template <class T>
__global__ void __launch_bounds__(S::kThreads, S::kBlocks) norm_qkv_gemv_kernel(GemvParams p) {
  gemv_body<S, T, true, StoreRow>(p, 1);
}
template <class T>
__global__ void __launch_bounds__(S::kThreads, S::kBlocks) output_gemv_kernel(GemvParams p) {
  gemv_body<S, T, false, AddRow>(p, 1);
}
template <class T>
__global__ void __launch_bounds__(S::kThreads, S::kBlocks) norm_gate_up_gemv_kernel(GemvParams p) {
  gemv_body<S, T, true, GateRow>(p, 2);
}
template <class T>
__global__ void __launch_bounds__(S::kThreads, S::kBlocks) down_gemv_kernel(GemvParams p) {
  gemv_body<S, T, false, AddRow>(p, 1);
}
template <class T>
__global__ void __launch_bounds__(S::kThreads, S::kBlocks) norm_lm_head_gemv_kernel(GemvParams p) {
  gemv_body<S, T, true, StoreRow>(p, 1);
}

namespace {

void launch_gemv(void (*half)(GemvParams), void (*bfloat)(GemvParams), const GemvParams& p,
                 DType dtype, int unit, const LaunchContext& launch) {
  KVTOLL_CHECK(dtype == DType::kF16 || dtype == DType::kBF16, "gemv in {}", dtype_name(dtype));
  KVTOLL_CHECK(p.k % 8 == 0 && p.rows % unit == 0, "gemv of {} x {}", p.rows, p.k);
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(std::min(launch.multiprocessors, p.rows / unit)));
  shape.block = dim3(S::kThreads);
  shape.shared = static_cast<size_t>(GemvShared<S>(p.k).total);
  shape.overlap = launch.overlap;
  launch_kernel(dtype == DType::kF16 ? half : bfloat, shape, launch.stream, p);
}

}  // namespace

void launch_norm_qkv(const GemvParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(norm_qkv_gemv_kernel<__half>, norm_qkv_gemv_kernel<__nv_bfloat16>, p, dtype, 1,
              launch);
}
void launch_output_add(const GemvParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(output_gemv_kernel<__half>, output_gemv_kernel<__nv_bfloat16>, p, dtype, 1, launch);
}
void launch_norm_gate_up(const GemvParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(norm_gate_up_gemv_kernel<__half>, norm_gate_up_gemv_kernel<__nv_bfloat16>, p, dtype,
              2, launch);
}
void launch_down_add(const GemvParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(down_gemv_kernel<__half>, down_gemv_kernel<__nv_bfloat16>, p, dtype, 1, launch);
}
void launch_norm_lm_head(const GemvParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(norm_lm_head_gemv_kernel<__half>, norm_lm_head_gemv_kernel<__nv_bfloat16>, p, dtype,
              1, launch);
}

Bytes gemv_bytes(int64_t rows, int64_t k, int out_bytes, bool adds, bool bias) {
  return Bytes(rows * k * 2 + k * 4 + rows * out_bytes * (adds ? 2 : 1) + (bias ? rows * 4 : 0));
}

void prepare_gemv(int max_k) {
  const auto bytes = static_cast<size_t>(GemvShared<S>(max_k).total);
  for (auto* kernel : {norm_qkv_gemv_kernel<__half>, output_gemv_kernel<__half>,
                       norm_gate_up_gemv_kernel<__half>, down_gemv_kernel<__half>,
                       norm_lm_head_gemv_kernel<__half>, norm_qkv_gemv_kernel<__nv_bfloat16>,
                       output_gemv_kernel<__nv_bfloat16>, norm_gate_up_gemv_kernel<__nv_bfloat16>,
                       down_gemv_kernel<__nv_bfloat16>, norm_lm_head_gemv_kernel<__nv_bfloat16>})
    allow_shared(kernel, bytes);
}

}  // namespace kvtoll::cuda
