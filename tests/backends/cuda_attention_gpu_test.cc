// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Attention of one new token against sums in double: every layout of blocks that this device can
// run, around the edges of tiles and shares, three times on the same buffers (counters must be back
// at zero), with NaN where no token is.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kvtoll/backends/cuda/attention_decode.h"
#include "kvtoll/core/rng.h"
#include "kvtoll/device/memory.h"
#include "kvtoll/device/stream.h"
#include "support/gpu_test.h"
#include "support/half_values.h"

namespace kvtoll::cuda {
namespace {

using test::half_bits;
using test::half_value;

constexpr int kSlots = 2;  // the sequence is in the second
constexpr int64_t kSpare = 21;

struct Shape {
  int heads, kv_heads, dim;
};

struct Problem {
  DType dtype;
  Shape shape;
  int tokens;
  int64_t capacity;
  std::vector<uint16_t> q, k, v;  // [heads, dim], [slots, kv_heads, capacity, dim]
  std::vector<double> expected;   // [heads, dim]

  Problem(DType type, Shape shape, int tokens)
      : dtype(type), shape(shape), tokens(tokens), capacity(tokens + kSpare) {
    Rng rng(5, static_cast<uint64_t>(shape.dim * 100000 + tokens));
    const auto draw = [&](float scale) {
      return half_bits(dtype, scale * static_cast<float>(2.0 * rng.uniform() - 1.0));
    };
    for (int i = 0; i < shape.heads * shape.dim; ++i) q.push_back(draw(3.0f));
    const int64_t one = shape.kv_heads * capacity * shape.dim;
    for (auto* tensor : {&k, &v})
      for (int64_t i = 0; i < kSlots * one; ++i)
        tensor->push_back(i >= one && i / shape.dim % capacity < tokens ? draw(1.0f)
                                                                        : half_bits(dtype, NAN));
    for (int head = 0; head < shape.heads; ++head) attend(head);
  }

  void attend(int head) {
    const int dim = shape.dim;
    const int64_t kv_head = shape.kv_heads + head / (shape.heads / shape.kv_heads);
    const auto at = static_cast<size_t>(kv_head * capacity * dim);
    std::vector<double> scores, out(static_cast<size_t>(dim));
    for (size_t t = 0; t < static_cast<size_t>(tokens); ++t) {
      double score = 0.0;
      for (size_t d = 0; d < out.size(); ++d)
        score += double{half_value(dtype, q[static_cast<size_t>(head) * out.size() + d])} *
                 half_value(dtype, k[at + t * out.size() + d]);
      scores.push_back(score / std::sqrt(double(dim)));
    }
    const double top = *std::ranges::max_element(scores);
    double sum = 0.0;
    for (double& s : scores) sum += s = std::exp(s - top);
    for (size_t t = 0; t < scores.size(); ++t)
      for (size_t d = 0; d < out.size(); ++d)
        out[d] += scores[t] / sum * half_value(dtype, v[at + t * out.size() + d]);
    expected.insert(expected.end(), out.begin(), out.end());
  }
};

class CudaAttention : public test::GpuTest {
 protected:
  std::vector<AttentionGrid> grids(const Shape& s) {
    const int processors = device_info(0).multiprocessors;
    const AttentionRoom room = prepare_attention(s.dim, processors);
    const int items = s.kv_heads * ((s.heads / s.kv_heads + 7) / 8);
    std::vector<AttentionGrid> all = {{1, 1}, {2, 1}, {processors / items, 1}};
    for (int i = 1; i < 5; ++i)
      if (room.clusters[i] >= items) all.push_back({1 << i, 1 << i});
    return all;
  }

  // Largest error of `launches` launches; values are at most 1.
  double error(const Problem& p, const AttentionGrid& grid, int launches) {
    DeviceMemory memory(0);
    const Stream stream;
    const auto room = [&](size_t bytes) {
      return memory.allocate(Bytes(static_cast<int64_t>(bytes)), MemoryTag::kWorkspace).value();
    };
    const auto put = [&](const auto& from) {
      DeviceBuffer to = room(from.size() * sizeof from[0]);
      KVTOLL_CUDA(
          cudaMemcpy(to.get(), from.data(), from.size() * sizeof from[0], cudaMemcpyHostToDevice));
      return to;
    };
    const std::vector<int> state = {1, 0, p.tokens - 1};  // slot of the row; lengths of the slots
    const std::vector<unsigned> zero(1024);
    const DeviceBuffer q = put(p.q), k = put(p.k), v = put(p.v), rows = put(state);
    const DeviceBuffer out = room(p.q.size() * 2), arrived = put(zero);
    const DeviceBuffer partial = room(size_t{512} * 8 * 256 * 4), stats = room(size_t{512} * 8 * 8);
    AttentionParams params;
    params.q = q.get();
    params.cache = {k.get(), v.get(), p.capacity, p.shape.kv_heads, p.shape.dim};
    params.rows = {rows.get<int>(), rows.get<int>() + 1};
    params.out = out.get();
    params.out_dtype = p.dtype;
    params.partial = partial.get<float>();
    params.stats = stats.get<float2>();
    params.arrived = arrived.get<unsigned>();
    params.heads = p.shape.heads;
    params.row_count = 1;
    params.grid = grid;
    double worst = 0.0;
    std::vector<uint16_t> got(p.q.size());
    for (int i = 0; i < launches; ++i) {
      KVTOLL_CUDA(cudaMemset(out.get(), 0xff, got.size() * 2));
      launch_attention_decode(params, p.dtype,
                              {stream.get(), device_info(0).multiprocessors, 0, false});
      stream.synchronize();
      KVTOLL_CUDA(cudaMemcpy(got.data(), out.get(), got.size() * 2, cudaMemcpyDeviceToHost));
      for (size_t at = 0; at < got.size(); ++at) {
        const double off = std::abs(half_value(p.dtype, got[at]) - p.expected[at]);
        if (std::isnan(off) || off > worst) worst = off;  // a NaN stays
      }
    }
    return worst;
  }

  void check(DType dtype, const Shape& shape, int tokens) {
    const Problem p(dtype, shape, tokens);
    for (const AttentionGrid& grid : grids(shape))
      EXPECT_LT(error(p, grid, 3), dtype == DType::kF16 ? 1e-3 : 8e-3)
          << shape.heads << " heads on " << shape.kv_heads << " of " << shape.dim << ", "
          << dtype_name(dtype) << ", " << tokens << " tokens; " << grid.splits
          << " blocks in clusters of " << grid.cluster;
  }
};

struct Case {
  const char* name;
  DType dtype;
  Shape shape;
  std::vector<int> tokens;
};

class CudaAttentionOf : public CudaAttention, public testing::WithParamInterface<Case> {};

TEST_P(CudaAttentionOf, EveryLayoutIsTheSumInDouble) {
  for (int tokens : GetParam().tokens) check(GetParam().dtype, GetParam().shape, tokens);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, CudaAttentionOf,
    testing::Values(
        Case{"d128_gqa7_short", DType::kF16, {28, 4, 128}, {1, 15, 16, 17, 127, 128, 129, 700}},
        Case{"d128_gqa7_long", DType::kF16, {28, 4, 128}, {2049, 3041, 3600, 6001}},
        Case{"d128_gqa7_bf16", DType::kBF16, {28, 4, 128}, {130, 5000}},
        Case{"d64_gqa6", DType::kF16, {12, 2, 64}, {1, 100, 2500, 4100}},
        Case{"d80_gqa1", DType::kF16, {5, 5, 80}, {1, 100, 2500, 4100}},
        Case{"d96_gqa12", DType::kF16, {12, 1, 96}, {1, 100, 2500, 4100}},
        Case{"d128_gqa1", DType::kF16, {8, 8, 128}, {1, 100, 2500, 4100}},
        Case{"d256_gqa7", DType::kF16, {7, 1, 256}, {1, 100, 2500, 4100}},
        Case{"d64_gqa12", DType::kF16, {36, 3, 64}, {1, 100, 2500, 4100}}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace kvtoll::cuda
