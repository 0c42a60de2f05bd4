// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The matrix-vector products of a decode step against sums in double: widths around every edge of
// slices, pieces and stages, rows that fill no group, residuals that fp16 cannot hold.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/core/rng.h"
#include "kvtoll/device/memory.h"
#include "kvtoll/device/stream.h"
#include "support/gpu_test.h"
#include "support/half_values.h"

namespace kvtoll::cuda {
namespace {

using test::half_bits;

constexpr float kEps = 1e-6f;

float rounded(DType dtype, float v) {
  return dtype == DType::kF16 ? round_to_half(v) : round_to_bfloat16(v);
}

struct Problem {
  DType dtype;
  int rows, k;
  std::vector<float> weights, x, norm, bias;  // weights exact in dtype

  Problem(DType type, int rows, int k) : dtype(type), rows(rows), k(k) {
    Rng rng(5, static_cast<uint64_t>(rows) * 100000 + static_cast<uint64_t>(k));
    const auto fill = [&](std::vector<float>& to, int64_t n, float scale, float middle) {
      for (int64_t i = 0; i < n; ++i)
        to.push_back(middle + scale * static_cast<float>(2.0 * rng.uniform() - 1.0));
    };
    fill(weights, int64_t{rows} * k, 0.05f, 0.0f);
    for (float& w : weights) w = rounded(dtype, w);
    fill(x, k, 1.0f, 0.0f);
    fill(norm, k, 0.5f, 1.0f);
    fill(bias, rows, 1.0f, 0.0f);
  }
};

class CudaProducts : public test::GpuTest {
 protected:
  void SetUp() override {
    test::GpuTest::SetUp();
    if (IsSkipped()) return;
    const DeviceInfo device = device_info(0);
    stream_.emplace();
    memory_.emplace(0);
    launch_.stream = stream_->get();
    launch_.multiprocessors = device.multiprocessors;
    launch_.overlap = device.major >= 9;
    KVTOLL_CUDA(
        cudaDeviceGetAttribute(&launch_.max_shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
  }
  template <class V>
  DeviceBuffer put(const std::vector<V>& values) {
    auto buffer = memory_->allocate(Bytes(static_cast<int64_t>(values.size() * sizeof(V))),
                                    MemoryTag::kWorkspace);
    EXPECT_TRUE(buffer);
    KVTOLL_CUDA(cudaMemcpy(buffer->get(), values.data(), values.size() * sizeof(V),
                           cudaMemcpyHostToDevice));
    return std::move(*buffer);
  }
  DeviceBuffer put(DType dtype, const std::vector<float>& values) {
    std::vector<uint16_t> packed;
    for (float v : values) packed.push_back(half_bits(dtype, v));
    return put(packed);
  }

  enum class Kind { kLmHead, kOutput };
  // Largest error of a row, in units of the sum of its products' magnitudes.
  double error(const Problem& p, Kind kind) {
    const bool normed = kind == Kind::kLmHead;
    const DeviceBuffer weights = put(p.dtype, p.weights), norm = put(p.norm), bias = put(p.bias);
    std::vector<double> x(p.x.begin(), p.x.end());
    if (normed) {
      double squares = 0.0;
      for (float v : p.x) squares += double{v} * v;
      const double inverse = 1.0 / std::sqrt(squares / p.k + double{kEps});
      for (size_t i = 0; i < x.size(); ++i) x[i] *= inverse * p.norm[i];
    } else {
      for (double& v : x) v = rounded(p.dtype, static_cast<float>(v));
    }
    const DeviceBuffer input = normed ? put(p.x) : put(p.dtype, p.x);
    std::vector<float> out(static_cast<size_t>(p.rows) + 32, 0.25f);
    const DeviceBuffer device_out = put(out);
    GemvParams params;
    params.weights = weights.get();
    params.rows = p.rows, params.k = p.k;
    params.x = input.get();
    params.norm = norm.get<float>();
    params.eps = kEps;
    params.bias = bias.get<float>();
    params.out = device_out.get();
    prepare_gemv({p.k, p.k, p.k}, p.dtype, launch_.max_shared);
    (normed ? launch_norm_lm_head : launch_output_add)(params, p.dtype, launch_);
    stream_->synchronize();
    KVTOLL_CUDA(cudaMemcpy(out.data(), device_out.get(), out.size() * 4, cudaMemcpyDeviceToHost));
    for (size_t i = static_cast<size_t>(p.rows); i < out.size(); ++i)
      EXPECT_EQ(out[i], 0.25f) << "written behind the last row";
    double worst = 0.0;
    for (int r = 0; r < p.rows; ++r) {
      double sum = double{p.bias[static_cast<size_t>(r)]} + (normed ? 0.0 : 0.25);
      double magnitude = std::abs(sum);
      for (int i = 0; i < p.k; ++i) {
        const double term = p.weights[static_cast<size_t>(r) * p.k + i] * x[static_cast<size_t>(i)];
        sum += term, magnitude += std::abs(term);
      }
      const double off = std::abs(out[static_cast<size_t>(r)] - sum) / magnitude;
      if (std::isnan(off) || off > worst) worst = off;  // a NaN stays
    }
    return worst;
  }

  std::optional<Stream> stream_;
  std::optional<DeviceMemory> memory_;
  LaunchContext launch_;
};

// fp32 sums of tensor-core products, which cut what is below the largest term's last bits.
constexpr double kSums = 2e-6;
// Two terms of x carry 22 digits in fp16 and 16 in bf16.
double budget(DType dtype) { return dtype == DType::kF16 ? kSums : kSums + 4e-6; }

TEST_F(CudaProducts, AreTheSumsAtEveryWidth) {
  // Slices' ends, one piece and more, short ones first and last in a ring, both shapes.
  for (int k :
       {8, 24, 40, 200, 1792, 1920, 3584, 3840, 3848, 7680, 7688, 9000, 11592, 18944, 30000})
    for (DType dtype : {DType::kF16, DType::kBF16}) {
      const Problem p(dtype, 35, k);
      const double normed = error(p, Kind::kLmHead), plain = error(p, Kind::kOutput);
      EXPECT_LT(normed, budget(dtype)) << "normed, k " << k << ", " << dtype_name(dtype);
      EXPECT_LT(plain, kSums) << "plain, k " << k << ", " << dtype_name(dtype);
    }
}

TEST_F(CudaProducts, AreTheSumsForEveryCountOfRows) {
  // The last makes the sums' buffers go round.
  for (int rows : {1, 7, 8, 131, 133, 132 * 32 + 1, 132 * 35 + 17, 132 * 200 + 5}) {
    const Problem p(DType::kF16, rows, 200);
    EXPECT_LT(error(p, Kind::kLmHead), budget(DType::kF16)) << rows << " rows";
    EXPECT_LT(error(p, Kind::kOutput), kSums) << rows << " rows";
  }
}

TEST_F(CudaProducts, HoldResidualsOfEverySize) {
  for (float scale : {0.0f, 1e-12f, 1e-3f, 3e5f, 1e12f})
    for (DType dtype : {DType::kF16, DType::kBF16}) {
      Problem p(dtype, 35, 3584);
      for (float& v : p.x) v *= scale;
      for (size_t i = 100; i < p.x.size(); i += 1000) p.x[i] *= 500.0f;  // outlier channels
      EXPECT_LT(error(p, Kind::kLmHead), budget(dtype)) << scale << ", " << dtype_name(dtype);
    }
}

}  // namespace
}  // namespace kvtoll::cuda
