// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Every CPU kernel against plain loops in double, on every SIMD target of this machine, with odd
// sizes.
#include "kvtoll/backends/cpu/kernels.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <limits>

#include "kvtoll/core/half.h"
#include "support/plain_ops.h"

namespace kvtoll::cpu {
namespace {

using test::random_floats;

class Kernels : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { choose(GetParam()); }
  void TearDown() override { choose(0); }
  static void choose(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().DeInit();
  }
};

// The weights as the kernel stores them, and as floats after that rounding.
struct Stored {
  std::vector<uint8_t> bytes;
  std::vector<float> values;
};
Stored store(std::vector<float> x, DType dtype) {
  Stored s{std::vector<uint8_t>(x.size() * static_cast<size_t>(dtype_size(dtype))), x};
  narrow(x.data(), static_cast<int64_t>(x.size()), dtype, s.bytes.data());
  round_to(s.values.data(), static_cast<int64_t>(x.size()), dtype);
  return s;
}

TEST_P(Kernels, MatmulWithBiasAndAdd) {
  struct Size {
    int64_t rows, in, tokens;
  };
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32})
    for (const Size& size : {Size{1, 1, 1}, Size{7, 33, 1}, Size{8, 64, 2}, Size{13, 40, 3},
                             Size{5, 100, 4}, Size{10, 17, 7}, Size{18, 576, 1}}) {
      const auto [rows, in, tokens] = size;
      const Stored w = store(random_floats(1, rows * in), dtype);
      const auto x = random_floats(2, tokens * in), bias = random_floats(3, rows);
      const auto expected = test::plain_matmul(w.values, x, rows, in, tokens);
      std::vector<float> y = random_floats(4, tokens * rows), before = y;
      Matmul m{w.bytes.data(), dtype, in, x.data(), tokens, y.data(), rows, bias.data(), true};
      matmul_rows(m, 0, rows / 2);  // any split of the rows
      matmul_rows(m, rows / 2, rows);
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_NEAR(y[i], before[i] + expected[i] + bias[i % static_cast<size_t>(rows)],
                    1e-6 * static_cast<double>(in + 4))
            << rows << "x" << in << " tokens " << tokens << " " << dtype_name(dtype);
    }
}

// A token's row is the same bits whatever stands beside it, and however rows are split.
TEST_P(Kernels, MatmulDoesNotDependOnTheBatch) {
  const int64_t rows = 11, in = 70, tokens = 9;
  const Stored w = store(random_floats(1, rows * in), DType::kF16);
  const auto x = random_floats(2, tokens * in);
  std::vector<float> all(tokens * rows), one(rows);
  Matmul m{w.bytes.data(), DType::kF16, in, x.data(), tokens, all.data(), rows};
  matmul_rows(m, 0, rows);
  for (int64_t t = 0; t < tokens; ++t) {
    m.x = x.data() + t * in;
    m.tokens = 1;
    m.y = one.data();
    matmul_rows(m, 0, 3);
    matmul_rows(m, 3, rows);
    for (int64_t r = 0; r < rows; ++r) ASSERT_EQ(all[t * rows + r], one[r]);
  }
}

TEST_P(Kernels, RmsNorm) {
  for (int64_t n : {1, 5, 16, 33, 576}) {
    const auto x = random_floats(1, n, 3.0f), weight = random_floats(2, n);
    const auto expected = test::plain_rms_norm(x, weight, 1e-5);
    std::vector<float> y(x.size());
    rms_norm(x.data(), weight.data(), 1e-5f, n, y.data());
    for (size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], expected[i], 2e-6) << n;
  }
}

TEST_P(Kernels, RopeRotatesHalfSplitPairs) {
  for (int64_t half : {1, 4, 10, 32, 64}) {
    auto head = random_floats(1, 2 * half);
    const auto before = head;
    std::vector<float> cos, sin;
    for (int64_t i = 0; i < half; ++i) {
      cos.push_back(std::cos(0.3f * static_cast<float>(i)));
      sin.push_back(std::sin(0.3f * static_cast<float>(i)));
    }
    rope(head.data(), cos.data(), sin.data(), half);
    for (int64_t i = 0; i < half; ++i) {
      const double a = before[i], b = before[half + i];
      ASSERT_NEAR(head[i], a * cos[i] - b * sin[i], 1e-6);
      ASSERT_NEAR(head[half + i], b * cos[i] + a * sin[i], 1e-6);
    }
  }
}

TEST_P(Kernels, SwigluIncludingExtremes) {
  for (int64_t n : {1, 7, 56, 131}) {
    auto gate = random_floats(1, n, 20.0f);
    const auto up = random_floats(2, n);
    gate[0] = -200.0f;  // exp overflows: silu is 0
    std::vector<float> h(gate.size());
    swiglu(gate.data(), up.data(), n, h.data());
    for (size_t i = 0; i < h.size(); ++i) {
      const double g = gate[i], expected = g / (1.0 + std::exp(-g)) * up[i];
      ASSERT_NEAR(h[i], expected, 3e-6 * (1.0 + std::abs(expected))) << g;
    }
  }
}

TEST_P(Kernels, ArgmaxTakesTheFirstOfEquals) {
  for (int64_t n : {1, 9, 64, 1000}) {
    auto x = random_floats(1, n);
    x[static_cast<size_t>(n / 2)] = x[static_cast<size_t>(n - 1)] = 2.0f;
    EXPECT_EQ(argmax(x.data(), n), n / 2);
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> broken(20, nan);
  EXPECT_EQ(argmax(broken.data(), 20), 0);
}

TEST_P(Kernels, EveryHalfWidensExactlyAndNarrowsBack) {
  std::vector<uint16_t> bits, back(65536);
  for (uint32_t b = 0; b < 65536; ++b) bits.push_back(static_cast<uint16_t>(b));
  std::vector<float> wide(65536);
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    widen(bits.data(), dtype, 65536, wide.data());
    narrow(wide.data(), 65536, dtype, back.data());
    for (uint32_t b = 0; b < 65536; ++b) {
      const auto h = static_cast<uint16_t>(b);
      const float exact = dtype == DType::kF16 ? half_bits_to_float(h) : bfloat16_bits_to_float(h);
      if (std::isnan(exact)) {
        ASSERT_TRUE(std::isnan(wide[b]));
        continue;
      }
      ASSERT_EQ(wide[b], exact) << b;
      ASSERT_EQ(back[b], b);
    }
  }
}

TEST_P(Kernels, NarrowRoundsToNearestEven) {
  std::vector<float> x;
  for (uint32_t i = 0; i < 4096; ++i) {
    x.push_back(random_symmetric(1, 0, i) * std::exp2(static_cast<float>(i % 40) - 28.0f));
    x.push_back(half_bits_to_float(static_cast<uint16_t>(i * 7)) * (1.0f + 0x1.0p-11f));  // ties
  }
  x.insert(x.end(), {65519.0f, 65520.0f, -70000.0f, 1e-8f, 0.0f, -0.0f});
  std::vector<uint16_t> y(x.size());
  narrow(x.data(), static_cast<int64_t>(x.size()), DType::kF16, y.data());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], float_to_half_bits(x[i])) << x[i];
  narrow(x.data(), static_cast<int64_t>(x.size()), DType::kBF16, y.data());
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(y[i], float_to_bfloat16_bits(x[i])) << x[i];
}

TEST_P(Kernels, AttentionOverChunksOfDifferentDtypes) {
  const std::pair<int64_t, int> sizes[] = {{8, 1}, {20, 2}, {64, 3}, {128, 7}, {36, 4}};
  for (const auto& [dim, rows] : sizes) {
    const int64_t counts[] = {5, 1, 40};
    const DType dtypes[] = {DType::kF32, DType::kF16, DType::kBF16};
    const auto q = random_floats(1, rows * dim, 4.0f);
    std::vector<float> max(rows, -std::numeric_limits<float>::infinity()), sum(rows, 0.0f),
        acc(static_cast<size_t>(rows * dim), 0.0f),
        scores(static_cast<size_t>(rows * kAttentionChunk)), ks, vs;
    const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
    for (int c = 0; c < 3; ++c) {
      const Stored k = store(random_floats(10 + c, counts[c] * dim, 2.0f), dtypes[c]);
      const Stored v = store(random_floats(20 + c, counts[c] * dim), dtypes[(c + 1) % 3]);
      attend_chunk(
          {k.bytes.data(), v.bytes.data(), dtypes[c], dtypes[(c + 1) % 3], dim, dim, counts[c]},
          q.data(), rows, dim, scale, {max.data(), sum.data(), acc.data()}, scores.data());
      ks.insert(ks.end(), k.values.begin(), k.values.end());
      vs.insert(vs.end(), v.values.begin(), v.values.end());
    }
    for (int r = 0; r < rows; ++r) {
      const auto expected =
          test::plain_attention(q.data() + r * dim, ks.data(), vs.data(), 46, dim);
      for (int64_t d = 0; d < dim; ++d)
        ASSERT_NEAR(acc[r * dim + d] / sum[r], expected[d], 3e-6) << "dim " << dim;
    }
  }
}

std::string target_name(const testing::TestParamInfo<int64_t>& info) {
  return hwy::TargetName(info.param);
}
INSTANTIATE_TEST_SUITE_P(Targets, Kernels, testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         target_name);

}  // namespace
}  // namespace kvtoll::cpu
