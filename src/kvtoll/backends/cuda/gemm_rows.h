// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Products of a decode step of 2 to 8 sequences on compute capability 9.0, with bias, addition and
// activation in them; for more rows and elsewhere cublas.h serves.
// Example: if (const auto plan = rows.plan(p)) launch_gemm_rows(p, *plan, dtype, launch);
#pragma once

#include <cuda_runtime.h>

#include <optional>

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/tuning/gemm_rows_shape.h"

namespace kvtoll::cuda {

// What becomes of y = x W^T + bias.
enum class GemmFinish {
  kStore,  // out [n, rows] fp32 = y
  kAdd,    // out [n, rows] fp32 += y
  kGate,   // out [n, rows / 2] in the weights' dtype = silu(y[2i]) * y[2i + 1]
};

// The matrix that the step's next product of this kind reads, or null.
struct NextGemm {
  const void* weights = nullptr;
  int rows = 0, k = 0;
  int cluster = 0, clusters = 0;  // of its plan
};

struct GemmRowsParams {
  const void* weights = nullptr;  // [rows, k]
  const float* bias = nullptr;    // [rows] or null
  int rows = 0, k = 0;
  const void* x = nullptr;  // [n, k], dtype of the weights
  int n = 0;
  void* out = nullptr;
  GemmFinish finish = GemmFinish::kStore;
  NextGemm next;
};

// Sums are fp32. Kernel: gemm_rows_sm90_kernel.
void launch_gemm_rows(const GemmRowsParams& p, const GemmRowsPlan& plan, DType dtype,
                      const LaunchContext& launch);

// Bytes the product must move: weights once, x and bias in, out (read too when it is added).
Bytes gemm_rows_bytes(const GemmRowsParams& p);

// Which products the kernel serves on a device, and in which layout.
class GemmRows {
 public:
  // Raises shared-memory limits: once, outside captures. max_shared: bytes a block may have.
  static GemmRows on_device(int major, int multiprocessors, int max_shared);
  // None where cuBLAS serves: more than 8 rows, k not a multiple of 16 or above 40,000.
  std::optional<GemmRowsPlan> plan(int n, int k) const;

 private:
  int limit_ = 0;                            // bytes of shared memory of a plan; 0: no kernel
  int clusters_[kMostGemmCluster + 1] = {};  // that fit the device at once, by their size
};

// gemm_rows_sm90.cu, which is there where code for 9.0 is built
void launch_gemm_rows_sm90(const GemmRowsParams& p, const GemmRowsPlan& plan, DType dtype,
                           const LaunchContext& launch);
void prepare_gemm_rows_sm90(int limit);
int gemm_rows_sm90_clusters(int cluster, int limit);

}  // namespace kvtoll::cuda
