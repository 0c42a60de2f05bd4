// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/kv_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/kv_tensors.h"

namespace kvtoll {
namespace {

using test::kv_tensor;
using test::KvData;

constexpr const char* kSpecs[] = {"fp16",
                                  "bf16",
                                  "fp32",
                                  "int4-quanto",
                                  "int2-quanto",
                                  "int4-quanto:axis=-1,group=16",
                                  "int8-hqq",
                                  "int4-hqq",
                                  "int3-hqq",
                                  "int2-hqq",
                                  "int1-hqq",
                                  "int8-hqq:axis=1",
                                  "int4-hqq:axis=1",
                                  "int2-hqq:axis=1",
                                  "int1-hqq:axis=1",
                                  "int4-quanto:group=256",
                                  "int4-quanto:group=32",
                                  "int8-hqq:solver=fp32",
                                  "int3-hqq:group=48"};
constexpr DType kDTypes[] = {DType::kF16, DType::kBF16, DType::kF32};

std::vector<float> decode_all(const KvStore& store, int heads, int dim) {
  std::vector<float> all(static_cast<size_t>(store.tokens()) * heads * dim);
  const size_t per_head = static_cast<size_t>(store.tokens()) * dim;
  for (int h = 0; h < heads; ++h) store.decode_head(h, {all.data() + h * per_head, per_head});
  return all;
}

// [kv_head, pos, dim] of two stretches of tokens joined.
std::vector<float> join(const std::vector<float>& a, int64_t n, const std::vector<float>& b,
                        int64_t m, int heads, int dim) {
  std::vector<float> all;
  for (int h = 0; h < heads; ++h) {
    all.insert(all.end(), a.begin() + h * n * dim, a.begin() + (h + 1) * n * dim);
    all.insert(all.end(), b.begin() + h * m * dim, b.begin() + (h + 1) * m * dim);
  }
  return all;
}

bool same(float a, float b) { return a == b || (std::isnan(a) && std::isnan(b)); }

// What a store gives back is what the library's form of the codes gives back, whatever the layout.
TEST(KvStore, DecodesAsTheOracle) {
  for (const char* spec : kSpecs) {
    const KvFormat format = *KvFormat::parse(spec);
    if (!format.quantized()) continue;
    for (DType dtype : kDTypes) {
      for (KvData kind : {KvData::kNormal, KvData::kOutliers, KvData::kConstant}) {
        const KvShape shape{3, 48, 128};
        const auto x = kv_tensor(kind, dtype, shape, 7);
        auto store = make_kv_store(format, dtype, 3, 128);
        auto stored = store->replace(x, 48);
        ASSERT_TRUE(stored) << stored.error().message;
        auto oracle = kv_encode(format, dtype, x, shape);
        ASSERT_TRUE(oracle);
        std::vector<float> want(x.size());
        kv_decode(format, dtype, *oracle, shape, want);
        const auto got = decode_all(*store, 3, 128);
        for (size_t i = 0; i < got.size(); ++i)
          ASSERT_TRUE(same(got[i], want[i])) << spec << " " << i << " " << got[i] << " " << want[i];
      }
    }
  }
}

TEST(KvStore, TheFootprintIsWhatIsAllocated) {
  for (const char* spec : kSpecs) {
    const KvFormat format = *KvFormat::parse(spec);
    for (DType dtype : kDTypes) {
      for (int heads : {1, 3, 4}) {
        for (int dim : {64, 80, 128}) {
          auto store = make_kv_store(format, dtype, heads, dim);
          for (int tokens : {1, 16, 33, 64}) {
            const KvShape shape{heads, tokens, dim};
            const auto x = kv_tensor(KvData::kNormal, dtype, shape, 1);
            const bool stored = store->replace(x, tokens).has_value();
            if (!stored) store->clear();
            const StoreBytes bytes = kv_store_bytes(format, dtype, heads, dim, tokens);
            EXPECT_EQ(bytes.payload, store->payload_bytes()) << spec << heads << dim << tokens;
            EXPECT_EQ(bytes.scales, store->scale_bytes()) << spec << heads << dim << tokens;
            EXPECT_EQ(bytes.payload.value > 0, stored);
          }
        }
      }
    }
  }
}

// 576 B a token for keys and values of quanto int4 with 4 heads x 128, 1,088 of HQQ int8 (measured
// on the real libraries).
TEST(KvStore, BytesPerToken) {
  auto per_token = [](const char* spec, DType dtype) {
    const StoreBytes bytes = kv_store_bytes(*KvFormat::parse(spec), dtype, 4, 128, 2048);
    return 2.0 * static_cast<double>((bytes.payload + bytes.scales).value) / 2048;
  };
  EXPECT_EQ(per_token("int4-quanto", DType::kF16), 576);
  EXPECT_EQ(per_token("int8-hqq", DType::kF16), 1088);
  EXPECT_EQ(per_token("int8-hqq:axis=1", DType::kBF16), 1088);
  EXPECT_EQ(per_token("int4-quanto", DType::kF32), 640);
  EXPECT_EQ(per_token("int8-hqq", DType::kF32), 1152);
  EXPECT_EQ(per_token("fp16", DType::kF16), 2048);
}

TEST(KvStore, AppendEqualsReplaceWhereGroupsStayInsideATokensVector) {
  for (const char* spec : {"fp16", "fp32", "int4-quanto", "int2-quanto", "int4-quanto:group=32"}) {
    const KvFormat format = *KvFormat::parse(spec);
    auto whole = make_kv_store(format, DType::kF16, 2, 128);
    auto parts = make_kv_store(format, DType::kF16, 2, 128);
    ASSERT_TRUE(parts->append_only());
    const auto a = kv_tensor(KvData::kOutliers, DType::kF16, {2, 5, 128}, 1);
    const auto b = kv_tensor(KvData::kNormal, DType::kF16, {2, 3, 128}, 2);
    ASSERT_TRUE(whole->replace(join(a, 5, b, 3, 2, 128), 8));
    ASSERT_TRUE(parts->append(a, 5));
    ASSERT_TRUE(parts->append(b, 3));
    EXPECT_EQ(parts->tokens(), 8);
    EXPECT_EQ(decode_all(*parts, 2, 128), decode_all(*whole, 2, 128)) << spec;
    EXPECT_EQ(parts->payload_bytes(), whole->payload_bytes());
  }
}

TEST(KvStore, AppendRequantizesEverythingWhereGroupsReachOverTokens) {
  const KvFormat format = *KvFormat::parse("int8-hqq");
  auto store = make_kv_store(format, DType::kF16, 2, 64);
  EXPECT_FALSE(store->append_only());
  const auto a = kv_tensor(KvData::kNormal, DType::kF16, {2, 6, 64}, 1);
  const auto b = kv_tensor(KvData::kNormal, DType::kF16, {2, 2, 64}, 2);
  ASSERT_TRUE(store->append(a, 6));
  const auto read_back = decode_all(*store, 2, 64);
  ASSERT_TRUE(store->append(b, 2));
  auto expected = make_kv_store(format, DType::kF16, 2, 64);
  ASSERT_TRUE(expected->replace(join(read_back, 6, b, 2, 2, 64), 8));
  EXPECT_EQ(decode_all(*store, 2, 64), decode_all(*expected, 2, 64));
}

TEST(KvStore, RefusesWhatTheLibraryRefusesAndKeepsWhatItHad) {
  struct Case {
    const char* spec;
    int heads, tokens, dim;
    const char* rule;
  };
  const Case cases[] = {
      {"int4-quanto", 1, 1, 96, "group=64 to divide"},
      {"int4-quanto:axis=-1", 4, 33, 128, "heads x tokens"},
      {"int8-hqq", 1, 1, 96, "group=64 to divide"},
      {"int3-hqq:axis=1", 4, 16, 128, "axis=0"},
      {"int1-hqq:axis=1", 2, 3, 128, "multiple of 8"},
      {"int4-hqq:axis=1", 1, 3, 64, "multiple of 2"},
      {"int4-hqq:group=65", 65, 1, 64, "group = 65 must be a multiple of 2"},
  };
  for (const Case& c : cases) {
    auto store = make_kv_store(*KvFormat::parse(c.spec), DType::kF16, c.heads, c.dim);
    std::vector<float> x(static_cast<size_t>(c.heads) * c.tokens * c.dim, 0.5f);
    auto result = store->replace(x, c.tokens);
    ASSERT_FALSE(result) << c.spec;
    EXPECT_EQ(result.error().kind, ErrorKind::kUnsupported);
    EXPECT_THAT(result.error().message, testing::HasSubstr(c.rule));
    EXPECT_EQ(store->tokens(), 0);
    EXPECT_EQ(kv_store_bytes(*KvFormat::parse(c.spec), DType::kF16, c.heads, c.dim, c.tokens)
                  .payload.value,
              0);
  }
}

// A lone group loses its axis in quanto: every element is kept exactly.
TEST(KvStore, QuantosSingleGroupIsExact) {
  auto store = make_kv_store(*KvFormat::parse("int2-quanto"), DType::kF16, 1, 64);
  const auto x = kv_tensor(KvData::kOutliers, DType::kF16, {1, 1, 64}, 3);
  ASSERT_TRUE(store->append(x, 1));
  EXPECT_EQ(decode_all(*store, 1, 64), x);
  EXPECT_EQ(store->scale_bytes().value, 2 * 64 * 2);
}

TEST(KvStore, HostileValuesStayInTheirGroup) {
  for (const char* spec : kSpecs) {
    const KvFormat format = *KvFormat::parse(spec);
    for (DType dtype : kDTypes) {
      auto x = kv_tensor(KvData::kNormal, dtype, {3, 32, 128}, 5);
      x[70] = NAN, x[200] = INFINITY, x[1000] = -INFINITY;
      x[2000] = 60000.0f, x[2001] = -60000.0f;  // their range overflows fp16
      auto store = make_kv_store(format, dtype, 3, 128);
      ASSERT_TRUE(store->replace(x, 32)) << spec;
      const auto y = decode_all(*store, 3, 128);
      if (!format.quantized()) continue;
      EXPECT_FALSE(std::isfinite(y[70])) << spec;
      const bool per_vector = format.scheme == KvScheme::kQuanto && format.axis == 0;
      for (int i = 4000; i < 4096 && per_vector; ++i)
        EXPECT_TRUE(std::isfinite(y[i])) << spec << " " << i;
      if (per_vector && dtype == DType::kF16) {
        EXPECT_TRUE(std::isnan(y[2000])) << "a range beyond fp16 reads as NaN, as in the library";
      }
    }
  }
}

TEST(KvStore, EmptyStores) {
  for (const char* spec : kSpecs) {
    auto store = make_kv_store(*KvFormat::parse(spec), DType::kF16, 2, 64);
    EXPECT_EQ(store->payload_bytes().value, 0);
    EXPECT_TRUE(store->append({}, 0));
    store->decode_head(0, {});
    EXPECT_EQ(store->tokens(), 0);
  }
}

}  // namespace
}  // namespace kvtoll
