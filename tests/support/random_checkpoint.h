// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A checkpoint of any geometry with random weights, made by the same rule as `synthetic:` models,
// so that a test can choose head counts and widths that no shipped geometry has.
// Example: auto checkpoint = random_checkpoint({.heads = 6, .kv_heads = 2, .head_dim = 80});
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "kvtoll/core/half.h"
#include "kvtoll/core/rng.h"
#include "kvtoll/model/checkpoint.h"

namespace kvtoll::test {

class RandomCheckpoint final : public Checkpoint {
 public:
  // on_device: offer the rule, so that a GPU backend makes the weights itself; otherwise it has to
  // copy them.
  RandomCheckpoint(const ModelConfig& config, uint64_t seed, bool on_device)
      : seed_(seed), on_device_(on_device) {
    config_ = config;
    source_ = "random " + config.name;
    dtype_ = DType::kF16;
  }
  bool has_weights() const override { return true; }
  std::optional<SyntheticRule> synthetic(WeightRole role, int layer) const override {
    if (!on_device_) return std::nullopt;
    return rule(role, layer);
  }
  Result<HostTensor> tensor(WeightRole role, int layer, DType) const override {
    const SyntheticRule r = rule(role, layer);
    const Shape shape = weight_shape(config_, role);
    auto values = std::make_shared<std::vector<uint16_t>>(static_cast<size_t>(shape.elements()));
    for (size_t i = 0; i < values->size(); ++i) {
      const float scaled = r.scale * random_symmetric(r.seed, r.stream, i);
      (*values)[i] = float_to_half_bits(r.offset + scaled);
    }
    const void* data = values->data();
    return HostTensor{{data, DType::kF16, shape}, std::move(values)};
  }

 private:
  SyntheticRule rule(WeightRole role, int layer) const {
    if (role == WeightRole::kLmHead && config_.tied_embeddings) role = WeightRole::kEmbedding;
    const Shape shape = weight_shape(config_, role);
    SyntheticRule r{.seed = seed_,
                    .stream = static_cast<uint64_t>(layer + 1) * 64 + static_cast<uint64_t>(role)};
    const bool norm = shape.rank == 1 && role != WeightRole::kQBias && role != WeightRole::kKBias &&
                      role != WeightRole::kVBias && role != WeightRole::kOBias &&
                      role != WeightRole::kGateBias && role != WeightRole::kUpBias &&
                      role != WeightRole::kDownBias;
    r.offset = norm ? 1.0f : 0.0f;
    r.scale = norm              ? 0.25f
              : shape.rank == 2 ? std::sqrt(3.0f / static_cast<float>(shape[1]))
                                : 0.5f;
    return r;
  }
  uint64_t seed_;
  bool on_device_;
};

}  // namespace kvtoll::test
