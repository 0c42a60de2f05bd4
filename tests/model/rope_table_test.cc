// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Against tables that transformers computed (tools/make_checkpoints.py).
#include <gtest/gtest.h>

#include <cmath>

#include "kvtoll/core/safetensors.h"
#include "kvtoll/model/config_json.h"

namespace kvtoll {
namespace {

TEST(RopeTable, EqualsTransformers) {
  auto opened = SafetensorsFile::open(KVTOLL_TEST_DATA "/checkpoints/rope.golden.safetensors");
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ((*opened)->metadata().size(), 8u);
  for (const auto& [name, text] : (*opened)->metadata()) {
    SCOPED_TRACE(name);
    auto config = parse_config_json(text, "", name);
    ASSERT_TRUE(config) << config.error().message;
    const RopeTable table = rope_table(*config);
    const TensorView want = *(*opened)->tensor(name);
    ASSERT_EQ(static_cast<int64_t>(table.inv_freq.size()), want.shape[0]);
    // torch's float pow differs from the correctly rounded one in the last place.
    for (size_t i = 0; i < table.inv_freq.size(); ++i)
      EXPECT_NEAR(table.inv_freq[i], want.at(static_cast<int64_t>(i)), 4e-7 * table.inv_freq[i])
          << i;
    EXPECT_FLOAT_EQ(table.attention_factor, (*opened)->tensor(name + ".scale")->at(0));
  }
}

TEST(RopeTable, StoredFactorsDivide) {
  ModelConfig config;
  config.head_dim = 4;
  config.rope.theta = 100.0;
  config.rope.scaling = RopeScaling::kFreqFactors;
  config.rope.freq_factors = {1.0f, 4.0f};
  const RopeTable table = rope_table(config);
  EXPECT_FLOAT_EQ(table.inv_freq[0], 1.0f);
  EXPECT_FLOAT_EQ(table.inv_freq[1], 0.1f / 4.0f);
  EXPECT_EQ(table.attention_factor, 1.0f);
}

}  // namespace
}  // namespace kvtoll
