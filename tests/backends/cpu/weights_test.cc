// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cpu/weights.h"

#include "support/golden_checkpoint.h"

namespace kvtoll::cpu {
namespace {

class LoadedWeights : public testing::TestWithParam<std::string> {};

// Every stored value is where the kernels look for it, in each dtype, and nothing else is
// allocated.
TEST_P(LoadedWeights, AreTheCheckpointsInOrder) {
  const auto checkpoint = open_checkpoint(test::golden_path(GetParam())).value();
  const ModelConfig& config = checkpoint->config();
  ThreadPool pool(2);
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const auto weights = Weights::load(*checkpoint, dtype, pool);
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_EQ(weights->bytes().value, weight_bytes(config, dtype).value);
    ASSERT_EQ(weights->layers.size(), static_cast<size_t>(config.layers));
    const Matrix& qkv = weights->layers[1].qkv;
    const TensorView loaded{qkv.data.as<std::byte>(), dtype, Shape{qkv.rows, qkv.in}};
    int64_t at = 0;
    for (WeightRole role : {WeightRole::kQ, WeightRole::kK, WeightRole::kV}) {
      const TensorView stored = checkpoint->tensor(role, 1)->view;
      for (int64_t i = 0; i < stored.shape.elements(); ++i, ++at) {
        const float x = stored.at(i), tolerance = dtype == DType::kF32   ? 0.0f
                                                  : dtype == DType::kF16 ? 0x1.0p-11f
                                                                         : 0x1.0p-8f;
        ASSERT_NEAR(loaded.at(at), x, tolerance * (std::abs(x) + 0x1.0p-13f)) << at;
      }
    }
    EXPECT_EQ(at, qkv.rows * qkv.in);
  }
}
INSTANTIATE_TEST_SUITE_P(Checkpoints, LoadedWeights,
                         testing::Values("qwen2-bf16", "llama-bias-fp32-oldrope", "qwen3-head-dim"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace kvtoll::cpu
