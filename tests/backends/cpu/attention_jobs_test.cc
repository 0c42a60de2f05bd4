// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cpu/attention_jobs.h"

#include <gtest/gtest.h>

#include "support/plain_ops.h"

namespace kvtoll::cpu {
namespace {

using test::random_floats;

// Keys or values of one sequence in fp32, cut into segments of other lengths.
struct Tensor {
  int kv_heads, dim;
  int64_t tokens;
  std::vector<float> data;  // [kv_head, tokens, dim]

  std::vector<KvSegment> cut(std::vector<int64_t> lengths) const {
    std::vector<KvSegment> segments;
    int64_t at = 0;
    for (int64_t n : lengths) {
      segments.push_back({data.data() + at * dim, DType::kF32, n, tokens * dim, dim});
      at += n;
    }
    EXPECT_EQ(at, tokens);
    return segments;
  }
  const float* head(int h) const { return data.data() + h * tokens * dim; }
};

struct Case {
  AttentionShape shape;
  int64_t tokens, n;  // cached in all, of which n are new
  std::vector<int64_t> k_cut, v_cut;
};

void check(const Case& c, int threads) {
  const auto [heads, kv_heads, dim] = c.shape;
  const Tensor k{kv_heads, dim, c.tokens, random_floats(1, kv_heads * c.tokens * dim, 2.0f)};
  const Tensor v{kv_heads, dim, c.tokens, random_floats(2, kv_heads * c.tokens * dim)};
  const auto q = random_floats(3, c.n * heads * dim, 2.0f);
  std::vector<float> out(q.size(), -1.0f);
  ThreadPool pool(threads);
  AttentionSpace space;
  const std::vector<AttentionJob> jobs = {
      {q.data(), out.data(), c.n, zip_segments(k.cut(c.k_cut), v.cut(c.v_cut))}};
  attend_jobs(c.shape, jobs, pool, space);
  for (int64_t t = 0; t < c.n; ++t)
    for (int h = 0; h < heads; ++h) {
      const int kv = h / c.shape.gqa();
      const int64_t at = (t * heads + h) * dim;
      const auto expected =
          test::plain_attention(q.data() + at, k.head(kv), v.head(kv), c.tokens - c.n + t + 1, dim);
      for (int64_t d = 0; d < dim; ++d)
        ASSERT_NEAR(out[static_cast<size_t>(at + d)], expected[static_cast<size_t>(d)], 1e-5)
            << "token " << t << " head " << h;
    }
}

TEST(AttentionJobs, DecodeSplitsPositionsAndMerges) {
  for (int threads : {1, 3}) {
    check({{6, 2, 16}, 1, 1, {1}, {1}}, threads);
    check({{6, 2, 16}, 700, 1, {700}, {700}}, threads);
    check({{4, 4, 20}, 900, 1, {899, 1}, {300, 600}}, threads);
    check({{7, 1, 64}, 513, 1, {256, 256, 1}, {1, 511, 1}}, threads);
  }
}

TEST(AttentionJobs, PromptIsCausal) {
  for (int threads : {1, 3}) {
    check({{6, 2, 16}, 40, 40, {40}, {40}}, threads);
    check({{3, 1, 32}, 300, 300, {300}, {300}}, threads);
    check({{4, 2, 8}, 90, 20, {60, 10, 20}, {70, 20}}, threads);  // a second chunk
  }
}

TEST(AttentionJobs, BytesCountEveryPositionOnce) {
  const AttentionShape shape{6, 2, 16};
  const KvSegment k{nullptr, DType::kF16, 10, 160, 16}, v{nullptr, DType::kF32, 10, 160, 16};
  const std::vector<AttentionJob> jobs = {{nullptr, nullptr, 1, {{k, v}}}};
  EXPECT_EQ(attention_bytes(shape, jobs).value, 2 * 6 * 16 * 4 + 10 * 32 * (2 + 4));
}

TEST(AttentionJobsDeathTest, KeysAndValuesMustBeEquallyLong) {
  const KvSegment a{nullptr, DType::kF16, 10, 160, 16}, b{nullptr, DType::kF16, 9, 144, 16};
  EXPECT_DEATH(zip_segments({a}, {b}), "different lengths");
}

}  // namespace
}  // namespace kvtoll::cpu
