// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A prompt's attention against sums in double: every kernel that this device can take, around the
// edges of tiles of queries and of keys, with NaN where no token is. (Written when no card was at
// hand any more: the kernels have run on an H100 under CudaDecode, this test not yet.)
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "kvtoll/backends/cuda/attention_prefill.h"
#include "kvtoll/core/rng.h"
#include "kvtoll/device/memory.h"
#include "kvtoll/device/stream.h"
#include "support/gpu_test.h"
#include "support/half_values.h"

namespace kvtoll::cuda {
namespace {

using test::half_bits;
using test::half_value;

constexpr int kHeads = 6, kKvHeads = 2;
constexpr int64_t kSpare = 21;  // positions of the cache that hold no token

struct Shape {
  int first, rows;
};
constexpr Shape kShapes[] = {{0, 1},  {0, 16},  {0, 63},    {0, 128},   {0, 129},
                             {1, 64}, {127, 1}, {128, 128}, {300, 257}, {1000, 40}};

// Both tensors of one sequence [kv_heads, capacity, dim], and queries [rows, heads, dim].
struct Problem {
  DType dtype;
  int dim;
  Shape shape;
  int64_t capacity;
  std::vector<uint16_t> q, k, v;

  Problem(DType type, int dim, Shape shape)
      : dtype(type), dim(dim), shape(shape), capacity(shape.first + shape.rows + kSpare) {
    Rng rng(3, static_cast<uint64_t>(dim * 10000 + shape.first + shape.rows));
    const auto draw = [&](float scale) {
      return half_bits(dtype, scale * static_cast<float>(2.0 * rng.uniform() - 1.0));
    };
    for (int64_t i = 0; i < int64_t{shape.rows} * kHeads * dim; ++i) q.push_back(draw(3.0f));
    for (auto* tensor : {&k, &v})
      for (int64_t i = 0; i < kKvHeads * capacity * dim; ++i)
        tensor->push_back(i / dim % capacity < capacity - kSpare ? draw(1.0f)
                                                                 : half_bits(dtype, NAN));
  }

  // [dim] of one query and head.
  std::vector<double> expected(int row, int head) const {
    const int64_t at = (head / (kHeads / kKvHeads)) * capacity * dim;
    const uint16_t* query = &q[static_cast<size_t>((int64_t{row} * kHeads + head) * dim)];
    const int seen = shape.first + row + 1;
    std::vector<double> scores(static_cast<size_t>(seen)), out(static_cast<size_t>(dim));
    for (int t = 0; t < seen; ++t)
      for (int d = 0; d < dim; ++d)
        scores[static_cast<size_t>(t)] +=
            double{half_value(dtype, query[d])} *
            half_value(dtype, k[static_cast<size_t>(at + int64_t{t} * dim + d)]) /
            std::sqrt(double(dim));
    const double top = *std::ranges::max_element(scores);
    double sum = 0.0;
    for (double& s : scores) sum += s = std::exp(s - top);
    for (int t = 0; t < seen; ++t)
      for (int d = 0; d < dim; ++d)
        out[static_cast<size_t>(d)] +=
            scores[static_cast<size_t>(t)] / sum *
            half_value(dtype, v[static_cast<size_t>(at + int64_t{t} * dim + d)]);
    return out;
  }
};

class CudaPrefill : public test::GpuTest, public testing::WithParamInterface<int> {
 protected:
  // Largest error; values are at most 1.
  double error(const PrefillKernel& kernel, const Problem& p) {
    DeviceMemory memory(0);
    const Stream stream;
    const auto put = [&](const std::vector<uint16_t>& from) {
      const Bytes bytes(static_cast<int64_t>(from.size()) * 2);
      DeviceBuffer to = memory.allocate(bytes, MemoryTag::kWorkspace).value();
      KVTOLL_CUDA(cudaMemcpy(to.get(), from.data(), from.size() * 2, cudaMemcpyHostToDevice));
      return to;
    };
    std::vector<uint16_t> got(p.q.size());
    const DeviceBuffer q = put(p.q), k = put(p.k), v = put(p.v), out = put(got);
    PrefillParams params;
    params.q = q.get(), params.k = k.get(), params.v = v.get(), params.out = out.get();
    params.out_dtype = p.dtype;
    params.capacity = p.capacity;
    params.heads = kHeads, params.kv_heads = kKvHeads, params.dim = p.dim;
    params.rows = p.shape.rows, params.first = p.shape.first;
    kernel.launch(params, p.dtype, {stream.get(), device_info(0).multiprocessors, 0, false});
    stream.synchronize();
    KVTOLL_CUDA(cudaMemcpy(got.data(), out.get(), got.size() * 2, cudaMemcpyDeviceToHost));
    double worst = 0.0;
    for (int row = 0; row<p.shape.rows; row += p.shape.rows> 64 ? 7 : 1)
      for (int head = 0; head < kHeads; ++head) {
        const std::vector<double> want = p.expected(row, head);
        for (int d = 0; d < p.dim; ++d) {
          const auto i = static_cast<size_t>((int64_t{row} * kHeads + head) * p.dim + d);
          const double off = std::abs(half_value(p.dtype, got[i]) - want[static_cast<size_t>(d)]);
          if (std::isnan(off) || off > worst) worst = off;  // a NaN stays
        }
      }
    return worst;
  }
};

// Probabilities and the output are rounded to the dtype: half a unit of 1, each.
TEST_P(CudaPrefill, EveryKernelIsTheSumInDouble) {
  const int dim = GetParam();
  for (int major : {8, device_info(0).major})
    for (const DType dtype : {DType::kF16, DType::kBF16})
      for (const Shape shape : kShapes) {
        const PrefillKernel kernel = prefill_kernel(major, dim);
        EXPECT_LT(error(kernel, Problem(dtype, dim, shape)), dtype == DType::kF16 ? 1e-3 : 8e-3)
            << kernel.name << " " << dim << " " << dtype_name(dtype) << " rows " << shape.rows
            << " behind " << shape.first;
      }
}

INSTANTIATE_TEST_SUITE_P(Dims, CudaPrefill, testing::Values(64, 80, 96, 128, 256),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace kvtoll::cuda
