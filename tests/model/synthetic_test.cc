// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "kvtoll/core/half.h"
#include "kvtoll/core/rng.h"

namespace kvtoll {
namespace {

using ::testing::HasSubstr;

TEST(Synthetic, GeometriesAreValidAndDistinct) {
  std::vector<std::string> names;
  for (const ModelConfig& c : synthetic_geometries()) {
    EXPECT_TRUE(validate(c, c.name)) << c.name;
    EXPECT_FALSE(c.eos_tokens.empty());
    names.push_back(c.name);
  }
  for (const char* wanted :
       {"qwen2.5-7b", "deepseek-r1-distill-qwen-7b", "qwen2.5-1.5b", "qwen2.5-0.5b", "qwen3-8b",
        "llama-3.1-8b", "llama-3.2-1b", "smollm2-135m", "tiny-qwen2", "tiny-qwen3", "tiny-llama"})
    EXPECT_EQ(std::count(names.begin(), names.end(), wanted), 1) << wanted;
}

// Published parameter counts; a wrong width or a forgotten bias shows.
TEST(Synthetic, ParameterCountsAreThePublishedOnes) {
  const std::pair<const char*, int64_t> cases[] = {
      {"qwen2.5-7b", 7615616512},  {"qwen2.5-1.5b", 1543714304}, {"qwen2.5-0.5b", 494032768},
      {"qwen3-8b", 8190735360},    {"llama-3.1-8b", 8030261248}, {"llama-3.2-1b", 1235814400},
      {"smollm2-135m", 134515008},
  };
  for (const auto& [name, parameters] : cases) {
    const auto checkpoint = *open_synthetic(std::string("synthetic:") + name);
    const ModelConfig& c = checkpoint->config();
    int64_t sum = 0;
    for (int layer = -1; layer < c.layers; ++layer)
      for (WeightRole role : weight_roles(c, layer))
        if (role != WeightRole::kLmHead || !c.tied_embeddings)
          sum += weight_shape(c, role).elements();
    EXPECT_EQ(sum, parameters) << name;
  }
}

TEST(Synthetic, TensorsFollowTheirRule) {
  const auto checkpoint = *open_synthetic("synthetic:tiny-qwen3:seed=42");
  const ModelConfig& c = checkpoint->config();
  EXPECT_EQ(checkpoint->source(), "synthetic:tiny-qwen3:seed=42");
  for (int layer = -1; layer < c.layers; ++layer)
    for (WeightRole role : weight_roles(c, layer)) {
      SCOPED_TRACE(weight_role_name(role));
      const SyntheticRule rule = *checkpoint->synthetic(role, layer);
      const HostTensor tensor = *checkpoint->tensor(role, layer);
      const TensorView view = tensor.view;
      EXPECT_EQ(rule.seed, 42u);
      EXPECT_EQ(view.shape, weight_shape(c, role));
      EXPECT_EQ(view.dtype, DType::kF16);
      double square = 0;
      for (int64_t i = 0; i < view.shape.elements(); ++i) {
        const float x = random_symmetric(rule.seed, rule.stream, static_cast<uint64_t>(i));
        ASSERT_EQ(view.at(i), round_to_half(rule.offset + rule.scale * x));
        square += view.at(i) * view.at(i);
      }
      if (view.shape.rank == 2) {
        EXPECT_NEAR(square / static_cast<double>(view.shape[0]), 1.0, 0.05);
      }
    }
}

TEST(Synthetic, RolesLayersAndSeedsDiffer) {
  const auto a = *open_synthetic("synthetic:tiny-qwen2:seed=1");
  const auto b = *open_synthetic("synthetic:tiny-qwen2:seed=2");
  const auto first = [](const Checkpoint& c, WeightRole role, int layer) {
    return c.tensor(role, layer)->view.at(0);
  };
  EXPECT_NE(first(*a, WeightRole::kQ, 0), first(*b, WeightRole::kQ, 0));
  EXPECT_NE(first(*a, WeightRole::kQ, 0), first(*a, WeightRole::kQ, 1));
  EXPECT_NE(first(*a, WeightRole::kGate, 0), first(*a, WeightRole::kUp, 0));
  // Tied: the head is the embedding.
  EXPECT_EQ(a->synthetic(WeightRole::kLmHead, -1)->stream,
            a->synthetic(WeightRole::kEmbedding, -1)->stream);
}

TEST(Synthetic, WrongSpecs) {
  for (const char* spec : {"synthetic:", "synthetic:qwen9", "synthetic::seed=1"}) {
    auto opened = open_synthetic(spec);
    ASSERT_FALSE(opened) << spec;
    EXPECT_EQ(opened.error().kind, ErrorKind::kInput);
    EXPECT_THAT(opened.error().message, HasSubstr("tiny-llama"));
  }
  for (const char* spec : {"synthetic:tiny-llama:seed=", "synthetic:tiny-llama:seed=-1",
                           "synthetic:tiny-llama:seed=1x", "synthetic:tiny-llama:layers=3"})
    EXPECT_THAT(open_synthetic(spec).error().message, HasSubstr("seed=NUMBER")) << spec;
}

}  // namespace
}  // namespace kvtoll
