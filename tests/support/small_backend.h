// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A backend over a small random model, opened and reserved in one call, and what tests compare two
// of them by. Example:
//   auto cuda = open_backend("cuda", checkpoint, {}, "int4-quanto", 6, 2, 96, 64);
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/core/rng.h"

namespace kvtoll::test {

inline std::unique_ptr<Backend> open_backend(const std::string& name,
                                             std::shared_ptr<const Checkpoint> checkpoint,
                                             const BackendOptions& options, const std::string& kv,
                                             int residual, int slots, int64_t max_tokens,
                                             int64_t max_prompt) {
  auto backend = make_backend(name, checkpoint, options);
  EXPECT_TRUE(backend) << backend.error().message;
  if (!backend) return nullptr;
  CacheRequest request{.residual_length = residual, .slots = slots};
  request.layers = KvPolicy::parse(kv)->resolve(checkpoint->config().layers).value();
  request.max_tokens = max_tokens;
  request.max_prompt = max_prompt;
  const auto reserved = (*backend)->reserve(request);
  EXPECT_TRUE(reserved) << reserved.error().message;
  return reserved ? std::move(*backend) : nullptr;
}

inline ModelConfig small_config() {
  ModelConfig m;
  m.name = "small";
  m.family = ModelFamily::kQwen2;
  m.layers = 2;
  m.hidden = 256;
  m.heads = 8;
  m.kv_heads = 2;
  m.head_dim = 64;
  m.ffn = 512;
  m.vocab = 1000;
  m.max_position = 4096;
  m.qkv_bias = true;
  m.eos_tokens = {2};
  return m;
}

inline std::vector<int32_t> ids(int n, uint64_t seed, uint64_t vocab = 1000) {
  std::vector<int32_t> out;
  Rng rng(seed);
  for (int i = 0; i < n; ++i) out.push_back(static_cast<int32_t>(rng.below(vocab)));
  return out;
}

// Largest difference over the largest magnitude.
inline double relative_error(std::span<const float> got, std::span<const float> expected) {
  double worst = 0.0, largest = 0.0;
  for (size_t i = 0; i < expected.size(); ++i) {
    if (!std::isfinite(got[i])) return 1e9;
    worst = std::max(worst, std::abs(double(got[i]) - expected[i]));
    largest = std::max(largest, std::abs(double(expected[i])));
  }
  return worst / largest;
}

}  // namespace kvtoll::test
