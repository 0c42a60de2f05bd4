// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/cache/footprint.h"

#include <gtest/gtest.h>

#include "kvtoll/cache/kv_cache.h"
#include "kvtoll/core/rng.h"

namespace kvtoll {
namespace {

// One policy, prompt and residual; the footprint must equal the bytes allocated after every update.
struct Case {
  const char* policy;
  int kv_heads, head_dim, residual, prompt, updates;
};
class Footprint : public testing::TestWithParam<Case> {};

TEST_P(Footprint, EqualsTheBytesAllocatedAtEveryLength) {
  const Case& c = GetParam();
  const CacheSpec spec{.layers = KvPolicy::parse(c.policy).value().resolve(3).value(),
                       .dtype = DType::kBF16,
                       .residual_length = c.residual,
                       .kv_heads = c.kv_heads,
                       .head_dim = c.head_dim,
                       .slots = 2,
                       .max_tokens = c.prompt + c.updates};
  KvCache cache(spec);
  int64_t length = 0;
  for (int call = 0; call <= c.updates; ++call) {
    const int n = call == 0 ? c.prompt : 1;
    std::vector<float> x(static_cast<size_t>(c.kv_heads * n * c.head_dim));
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = random_symmetric(3, static_cast<uint64_t>(call), i);
    for (int slot = 0; slot < spec.slots; ++slot)
      for (int layer = 0; layer < 3; ++layer) {
        ASSERT_TRUE(cache.key(slot, layer).update(x, n));
        ASSERT_TRUE(cache.value(slot, layer).update(x, n));
      }
    length += n;
    const MemorySplit predicted = cache_footprint(spec, c.prompt, length), real = cache.memory();
    for (MemoryTag tag : {MemoryTag::kKvPayload, MemoryTag::kKvScales, MemoryTag::kKvResidual})
      ASSERT_EQ(predicted[tag].value, real[tag].value)
          << kMemoryTagNames[static_cast<size_t>(tag)] << " at length " << length;
  }
}
INSTANTIATE_TEST_SUITE_P(
    Policies, Footprint,
    testing::Values(Case{"fp16", 2, 64, 128, 5, 9}, Case{"bf16/fp32", 3, 20, 128, 1, 4},
                    Case{"int4-quanto", 2, 64, 4, 7, 20}, Case{"int2-quanto", 1, 64, 1, 7, 9},
                    Case{"int8-hqq", 2, 64, 8, 33, 20}, Case{"int4-hqq:axis=1", 2, 128, 2, 3, 9},
                    Case{"int4-quanto@0,-1=fp16", 2, 64, 0, 6, 9},
                    Case{"int4-quanto:residual=3/int8-hqq:axis=1", 2, 64, 5, 6, 17},
                    Case{"int4-quanto:axis=-1", 2, 64, 32, 32, 33}));

TEST(Footprint, SevenBillionGeometryByHand) {
  // docs: 28 layers, 4 kv heads, head_dim 128: 57,344 B a token in fp16; int4-quanto holds 576 B a
  // token and layer.
  CacheSpec spec{.layers = KvPolicy::parse("fp16").value().resolve(28).value(),
                 .kv_heads = 4,
                 .head_dim = 128,
                 .max_tokens = 2048};
  EXPECT_EQ(cache_footprint(spec, 128, 2048).kv().value, 57344 * 2048);
  EXPECT_EQ(cache_footprint(spec, 128, 2048)[MemoryTag::kWorkspace].value, 0);
  spec.layers = KvPolicy::parse("int4-quanto").value().resolve(28).value();
  const MemorySplit int4 = cache_footprint(spec, 128, 2048);
  const int64_t stored = stored_tokens(128, 128, 2048);
  EXPECT_EQ(stored, 2048);
  EXPECT_EQ(int4[MemoryTag::kKvPayload].value, 28 * 512 * stored);
  EXPECT_EQ(int4[MemoryTag::kKvScales].value, 28 * 64 * stored);
  EXPECT_EQ(int4[MemoryTag::kKvResidual].value, 28 * 2048 * 127);
}

TEST(Footprint, StoredTokensFollowTheSchedule) {
  for (int residual : {0, 1, 2, 3, 32}) {
    CacheSchedule schedule(residual);
    schedule.prefill(5);
    for (int length = 6; length < 120; ++length) {
      schedule.update(1);
      ASSERT_EQ(stored_tokens(residual, 5, length), schedule.stored()) << residual << " " << length;
    }
  }
}

}  // namespace
}  // namespace kvtoll
