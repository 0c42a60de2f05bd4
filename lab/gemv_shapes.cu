// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Which shape of the matrix-vector kernel is fastest: multiplying warps, chunks of a slice, depth
// of the ring. Checks each against the first, then times it cold, alone and overlapped. nvcc
// -std=c++20 -O3 -arch=sm_90 -DFMT_USE_CONSTEXPR=1 --expt-relaxed-constexpr -Isrc -lfmt
//   lab/gemv_shapes.cu src/kvtoll/device/cuda_error_cuda.cc src/kvtoll/device/memory_cuda.cc
//   src/kvtoll/backends/cuda/synthetic.cu src/kvtoll/core/check.cc -o gemv_shapes
// Results: docs/lab.md. (The last column compares the first outputs by eye; all shapes gave the
// same.)
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "kvtoll/backends/cuda/gemv.cuh"
#include "kvtoll/backends/cuda/synthetic.h"
#include "kvtoll/device/memory.h"
#include "kvtoll/device/stream.h"

namespace kvtoll::cuda {
namespace {

constexpr int64_t kPool = int64_t{3} << 30;

template <class S, bool kNormed, class E>
__global__ void __launch_bounds__(S::kThreads) lab_kernel(GemvParams p, int unit) {
  gemv_body<S, __half, kNormed, E>(p, unit);
}

struct Lab {
  DeviceMemory memory{0};
  Stream stream;
  DeviceBuffer pool, scratch;
  std::vector<float> reference;

  Lab() {
    pool = std::move(*memory.allocate(Bytes(kPool), MemoryTag::kWeights));
    scratch = std::move(*memory.allocate(Bytes(64 << 20), MemoryTag::kWorkspace));
    launch_synthetic({1, 2, 0.02f, 0.0f}, DType::kF16, DType::kF16,
                     {pool.get(), DType::kF16, kPool / 2, 1, 1}, stream.get());
    stream.synchronize();
  }

  template <class S, bool kNormed, class E>
  void time(const char* what, int rows, int k, int unit) {
    const int64_t matrix = int64_t(rows) * k * 2;
    const int copies = int(kPool / matrix), launches = std::min(copies, 48);
    GemvParams p;
    p.rows = rows, p.k = k, p.eps = 1e-6f;
    launch_synthetic({3, kNormed ? 4u : 5u, 1.0f, 0.0f}, kNormed ? DType::kF32 : DType::kF16,
                     kNormed ? DType::kF32 : DType::kF16,
                     {scratch.get(), kNormed ? DType::kF32 : DType::kF16, k, 1, 1}, stream.get());
    launch_synthetic({3, 6, 0.3f, 1.0f}, DType::kF32, DType::kF32,
                     {scratch.get<char>() + (4 << 20), DType::kF32, k, 1, 1}, stream.get());
    p.x = scratch.get();
    p.norm = scratch.get<float>() + (1 << 20);
    p.out = scratch.get<char>() + (16 << 20);
    auto* kernel = lab_kernel<S, kNormed, E>;
    const size_t shared = GemvShared<S, kNormed>(k).total;
    allow_shared(kernel, shared);
    const auto launch = [&](int i, bool overlap) {
      GemvParams q = p;
      q.weights = pool.get<char>() + i % copies * matrix;
      launch_kernel(kernel, {dim3(132), dim3(S::kThreads), shared, overlap}, stream.get(), q, unit);
    };
    KVTOLL_CUDA(cudaMemsetAsync(p.out, 0, rows * 4, stream.get()));
    launch(0, false);
    std::vector<float> out(64);
    KVTOLL_CUDA(cudaMemcpyAsync(out.data(), p.out, 256, cudaMemcpyDeviceToHost, stream.get()));
    stream.synchronize();
    double us[2];
    for (int overlap = 0; overlap < 2; ++overlap) {
      const GraphExec graph = capture(stream.get(), [&] {
        for (int i = 0; i < launches; ++i) launch(i, overlap);
      });
      std::vector<float> ms;
      Event a, b;
      for (int pass = 0; pass < 5; ++pass) {
        a.record(stream.get());
        graph.launch(stream.get());
        b.record(stream.get());
        b.synchronize();
        ms.push_back(b.since(a));
      }
      std::sort(ms.begin(), ms.end());
      us[overlap] = ms[2] * 1e3 / launches;
    }
    std::printf("%-8s W%-2d C%-3d D%d %6zu B  %8.2f us %5.0f GB/s | %8.2f us %5.0f | %g %g\n", what,
                S::kWarps, S::kChunks, S::kDepth, shared, us[0], matrix / us[0] * 1e-3, us[1],
                matrix / us[1] * 1e-3, out[0], out[33]);
    std::fflush(stdout);
  }

  template <class S>
  void all() {
    time<S, true, StoreRow>("qkv", 4608, 3584, 1);
    time<S, false, StoreRow>("o", 3584, 3584, 1);
    time<S, true, StoreRow>("gate_up", 37888, 3584, 2);
    time<S, false, StoreRow>("down", 3584, 18944, 1);
  }
};

}  // namespace
}  // namespace kvtoll::cuda

int main() {
  using namespace kvtoll::cuda;
  Lab lab;
  lab.all<GemvShape<8, 60, 3>>();
  lab.all<GemvShape<8, 56, 3>>();
  lab.all<GemvShape<8, 28, 6>>();
  lab.all<GemvShape<4, 120, 3>>();
  lab.all<GemvShape<16, 28, 3>>();
}
