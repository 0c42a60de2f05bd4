// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Products of several rows through cuBLAS, opened at run time so that the program starts without
// it. Example: KVTOLL_TRY(auto blas, Cublas::open(stream, workspace, bytes));
//              blas->multiply({.weights = w, .x = x, .out = y, .rows = n, ...});
#pragma once

#include <cuda_runtime.h>

#include <memory>

#include "kvtoll/core/dtype.h"
#include "kvtoll/core/result.h"
#include "kvtoll/core/units.h"

namespace kvtoll::cuda {

// out [n, rows] fp32 (+)= x [n, k] weights [rows, k]^T, sums in fp32.
struct Product {
  const void* weights = nullptr;  // [rows, k]
  const void* x = nullptr;        // [n, k], same dtype
  float* out = nullptr;           // [n, rows]
  int n = 0, rows = 0, k = 0;
  bool add = false;
  DType dtype = DType::kF16;
};

// Bytes the product must move: weights once, x in, out (read too when it is added).
Bytes product_bytes(const Product& p);

class Cublas {
 public:
  static constexpr int64_t kWorkspace = 32 << 20;  // bytes: what NVIDIA advises for Hopper

  // workspace: device memory that stays ours. Errors: kMachine when no libcublas is found, with the
  // cure.
  static Result<std::unique_ptr<Cublas>> open(cudaStream_t stream, void* workspace, size_t bytes);
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  void multiply(const Product& p);

 private:
  struct Api;
  Cublas() = default;
  std::unique_ptr<Api> api_;
  void* handle_ = nullptr;
};

}  // namespace kvtoll::cuda
