// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kvtoll/backends/cuda/gemv.cuh"
#include "kvtoll/core/check.h"

namespace kvtoll::cuda {

// One kernel an operation; S: GemvLarge or GemvSmall of tuning/gemv_shape.h.
template <class S, class T>
__global__ void __launch_bounds__(S::kThreads, 1) norm_qkv_gemv_kernel(GemvParams p) {
  gemv_body<S, T, true, StoreRow>(p, 1);
}
template <class S, class T>
__global__ void __launch_bounds__(S::kThreads, 1) norm_qkv_rope_gemv_kernel(QkvRopeParams p) {
  gemv_body<S, T, true, RopeRow>(p, 2);
}
template <class S, class T>
__global__ void __launch_bounds__(S::kThreads, 1) output_gemv_kernel(GemvParams p) {
  gemv_body<S, T, false, AddRow>(p, 1);
}
template <class S, class T>
__global__ void __launch_bounds__(S::kThreads, 1) norm_gate_up_gemv_kernel(GemvParams p) {
  gemv_body<S, T, true, GateRow>(p, 2);
}
template <class S, class T>
__global__ void __launch_bounds__(S::kThreads, 1) down_gemv_kernel(GemvParams p) {
  gemv_body<S, T, false, AddRow>(p, 1);
}
template <class S, class T>
__global__ void __launch_bounds__(S::kThreads, 1) norm_lm_head_gemv_kernel(GemvParams p) {
  gemv_body<S, T, true, StoreRow>(p, 1);
}

namespace {

template <class P>
struct Variant {
  void (*kernel)(P);
  int threads, shared;
};

// The larger shape where its shared memory fits this device and width.
#define KVTOLL_GEMV_VARIANT(name, P, kNormed)                                                    \
  Variant<P> name##_variant(int k, DType dtype, int limit) {                                     \
    const bool half = dtype == DType::kF16;                                                      \
    if (const int bytes = GemvShared<GemvLarge, kNormed>(k).total; bytes <= limit)               \
      return {half ? name##_kernel<GemvLarge, __half> : name##_kernel<GemvLarge, __nv_bfloat16>, \
              GemvLarge::kThreads, bytes};                                                       \
    return {half ? name##_kernel<GemvSmall, __half> : name##_kernel<GemvSmall, __nv_bfloat16>,   \
            GemvSmall::kThreads, GemvShared<GemvSmall, kNormed>(k).total};                       \
  }
KVTOLL_GEMV_VARIANT(norm_qkv_gemv, GemvParams, true)
KVTOLL_GEMV_VARIANT(norm_qkv_rope_gemv, QkvRopeParams, true)
KVTOLL_GEMV_VARIANT(output_gemv, GemvParams, false)
KVTOLL_GEMV_VARIANT(norm_gate_up_gemv, GemvParams, true)
KVTOLL_GEMV_VARIANT(down_gemv, GemvParams, false)
KVTOLL_GEMV_VARIANT(norm_lm_head_gemv, GemvParams, true)
#undef KVTOLL_GEMV_VARIANT

template <class P>
void launch_gemv(const Variant<P>& variant, const P& p, DType dtype, int unit,
                 const LaunchContext& launch) {
  KVTOLL_CHECK(dtype == DType::kF16 || dtype == DType::kBF16, "gemv in {}", dtype_name(dtype));
  KVTOLL_CHECK(p.k % 8 == 0 && p.rows % unit == 0, "gemv of {} x {}", p.rows, p.k);
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(std::min(launch.multiprocessors, p.rows / unit)));
  shape.block = dim3(static_cast<unsigned>(variant.threads));
  shape.shared = static_cast<size_t>(variant.shared);
  shape.overlap = launch.overlap;
  launch_kernel(variant.kernel, shape, launch.stream, p);
}

}  // namespace

void launch_norm_qkv(const GemvParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(norm_qkv_gemv_variant(p.k, dtype, launch.max_shared), p, dtype, 1, launch);
}
void launch_norm_qkv_rope(const QkvRopeParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(norm_qkv_rope_gemv_variant(p.k, dtype, launch.max_shared), p, dtype, 2, launch);
}
void launch_output_add(const GemvParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(output_gemv_variant(p.k, dtype, launch.max_shared), p, dtype, 1, launch);
}
void launch_norm_gate_up(const GemvParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(norm_gate_up_gemv_variant(p.k, dtype, launch.max_shared), p, dtype, 2, launch);
}
void launch_down_add(const GemvParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(down_gemv_variant(p.k, dtype, launch.max_shared), p, dtype, 1, launch);
}
void launch_norm_lm_head(const GemvParams& p, DType dtype, const LaunchContext& launch) {
  launch_gemv(norm_lm_head_gemv_variant(p.k, dtype, launch.max_shared), p, dtype, 1, launch);
}

Bytes gemv_bytes(int64_t rows, int64_t k, int out_bytes, bool adds, bool bias) {
  return Bytes(rows * k * 2 + k * 4 + rows * out_bytes * (adds ? 2 : 1) + (bias ? rows * 4 : 0));
}

void prepare_gemv(const GemvWidths& widths, DType dtype, int limit) {
  const auto allow = [](const auto& variant) {
    allow_shared(variant.kernel, static_cast<size_t>(variant.shared));
  };
  allow(norm_qkv_gemv_variant(widths.hidden, dtype, limit));
  allow(norm_qkv_rope_gemv_variant(widths.hidden, dtype, limit));
  allow(output_gemv_variant(widths.query, dtype, limit));
  allow(norm_gate_up_gemv_variant(widths.hidden, dtype, limit));
  allow(down_gemv_variant(widths.ffn, dtype, limit));
  allow(norm_lm_head_gemv_variant(widths.hidden, dtype, limit));
}

}  // namespace kvtoll::cuda
