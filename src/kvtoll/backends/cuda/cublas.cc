// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cuda/cublas.h"

#include <dlfcn.h>

#include <string>

#include "kvtoll/device/cuda_error.h"

namespace kvtoll::cuda {

namespace {

// The few declarations we need of cublas_api.h; enums are plain ints there and stable since
// CUDA 11.
enum Status : int { kSuccess = 0 };
enum Operation : int { kNormal = 0, kTransposed = 1 };
enum DataType : int { kR32F = 0, kR16F = 2, kR16BF = 14 };
constexpr int kCompute32F = 68, kDefaultAlgorithm = -1;

using Create = Status (*)(void** handle);
using Destroy = Status (*)(void* handle);
using SetStream = Status (*)(void* handle, cudaStream_t stream);
using SetWorkspace = Status (*)(void* handle, void* workspace, size_t bytes);
using GemmEx = Status (*)(void* handle, int transa, int transb, int m, int n, int k,
                          const void* alpha, const void* a, int a_type, int lda, const void* b,
                          int b_type, int ldb, const void* beta, void* c, int c_type, int ldc,
                          int compute_type, int algorithm);

}  // namespace

struct Cublas::Api {
  void* library = nullptr;
  Create create = nullptr;
  Destroy destroy = nullptr;
  SetStream set_stream = nullptr;
  SetWorkspace set_workspace = nullptr;
  GemmEx gemm = nullptr;

  ~Api() {
    if (library) dlclose(library);
  }
  template <class F>
  bool find(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(library, name));
    return function != nullptr;
  }
};

namespace {

// Newest first; then where the toolkit puts them when no loader path does.
constexpr const char* kNames[] = {"libcublas.so.13", "libcublas.so.12",
                                  "/usr/local/cuda/lib64/libcublas.so.13",
                                  "/usr/local/cuda/lib64/libcublas.so.12", "libcublas.so"};

void check(Status status, const char* call) {
  if (status != kSuccess)
    throw CudaError("cublas", call, static_cast<int>(status), std::to_string(status),
                    "see cublasStatus_t", __FILE__, __LINE__);
}

}  // namespace

Result<std::unique_ptr<Cublas>> Cublas::open(cudaStream_t stream, void* workspace, size_t bytes) {
  std::unique_ptr<Cublas> blas(new Cublas());
  blas->api_ = std::make_unique<Api>();
  Api& api = *blas->api_;
  for (const char* name : kNames)
    if (!api.library) api.library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!api.library)
    return machine_error(
        "the cuda backend needs cuBLAS for prompts and batches, and found no libcublas.so; install "
        "the CUDA toolkit's libcublas package or put its folder on LD_LIBRARY_PATH");
  if (!api.find(api.create, "cublasCreate_v2") || !api.find(api.destroy, "cublasDestroy_v2") ||
      !api.find(api.set_stream, "cublasSetStream_v2") ||
      !api.find(api.set_workspace, "cublasSetWorkspace_v2") || !api.find(api.gemm, "cublasGemmEx"))
    return machine_error("the libcublas.so found lacks a function; install CUDA 12.4 or newer");
  void* handle = nullptr;
  check(api.create(&handle), "cublasCreate");
  blas->handle_ = handle;
  check(api.set_stream(handle, stream), "cublasSetStream");
  check(api.set_workspace(handle, workspace, bytes), "cublasSetWorkspace");
  return blas;
}

Cublas::~Cublas() {
  if (handle_) (void)api_->destroy(handle_);
}

void Cublas::multiply(const Product& p) {
  // cuBLAS is column-major: out^T [rows, n] = weights [rows, k] x^T [k, n].
  const float one = 1.0f, beta = p.add ? 1.0f : 0.0f;
  const int type = p.dtype == DType::kF16 ? kR16F : kR16BF;
  check(api_->gemm(handle_, kTransposed, kNormal, p.rows, p.n, p.k, &one, p.weights, type, p.k, p.x,
                   type, p.k, &beta, p.out, kR32F, p.rows, kCompute32F, kDefaultAlgorithm),
        "cublasGemmEx");
}

Bytes product_bytes(const Product& p) {
  return Bytes(int64_t(p.rows) * p.k * 2 + int64_t(p.n) * p.k * 2 +
               int64_t(p.n) * p.rows * 4 * (p.add ? 2 : 1));
}

}  // namespace kvtoll::cuda
