// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/config.h"

#include <cmath>

namespace kvtoll {
namespace {

struct Limit {
  const char* name;
  int64_t value, low, high;
};

Result<void> check_counts(const ModelConfig& c, const std::string& where) {
  const Limit limits[] = {
      {"layers", c.layers, 1, 1024},     {"hidden", c.hidden, 1, 1 << 18},
      {"heads", c.heads, 1, 4096},       {"kv_heads", c.kv_heads, 1, 4096},
      {"head_dim", c.head_dim, 2, 1024}, {"ffn", c.ffn, 1, 1 << 22},
      {"vocab", c.vocab, 1, 1 << 24},    {"max_position", c.max_position, 1, 1 << 30},
  };
  for (const Limit& limit : limits)
    if (limit.value < limit.low || limit.value > limit.high)
      return input_error("{}: {} is {}, must be in [{}, {}]", where, limit.name, limit.value,
                         limit.low, limit.high);
  if (c.heads % c.kv_heads != 0)
    return input_error("{}: {} query heads do not divide into {} key/value heads", where, c.heads,
                       c.kv_heads);
  if (c.head_dim % 2 != 0)
    return input_error("{}: head_dim {} is odd; RoPE rotates pairs", where, c.head_dim);
  return {};
}

Result<void> check_rope(const ModelConfig& c, const std::string& where) {
  const RopeConfig& r = c.rope;
  // NaN fails every comparison, so each test names what is accepted.
  if (!(r.theta > 1.0 && r.theta <= 1e12))
    return input_error("{}: rope theta is {}, must be above 1", where, r.theta);
  if (r.scaling == RopeScaling::kFreqFactors) {
    if (!r.freq_factors.empty() && r.freq_factors.size() != static_cast<size_t>(c.head_dim / 2))
      return input_error("{}: {} rope frequency factors, must be head_dim / 2 = {}", where,
                         r.freq_factors.size(), c.head_dim / 2);
    for (float f : r.freq_factors)
      if (!(f > 0.0f && f <= 1e6f))
        return input_error("{}: a rope frequency factor is {}", where, f);
  }
  if (r.scaling != RopeScaling::kLlama3 && r.scaling != RopeScaling::kYarn) return {};
  if (!(r.factor >= 1.0 && r.factor <= 1e6))
    return input_error("{}: rope factor is {}, must be at least 1", where, r.factor);
  if (r.original_max_position < 1)
    return input_error("{}: original_max_position_embeddings is {}", where,
                       r.original_max_position);
  if (r.scaling == RopeScaling::kLlama3 &&
      !(r.low_freq_factor > 0.0 && r.high_freq_factor > r.low_freq_factor &&
        r.high_freq_factor <= 1e6))
    return input_error("{}: rope low_freq_factor {} must be above 0 and below high_freq_factor {}",
                       where, r.low_freq_factor, r.high_freq_factor);
  if (r.scaling == RopeScaling::kYarn &&
      !(r.beta_slow > 0.0 && r.beta_fast >= r.beta_slow && r.beta_fast <= 1e6 &&
        r.attention_factor >= 0.0 && r.attention_factor <= 1e3))
    return input_error("{}: YaRN needs 0 < beta_slow ({}) <= beta_fast ({}), attention_factor ({})",
                       where, r.beta_slow, r.beta_fast, r.attention_factor);
  return {};
}

}  // namespace

std::string_view family_name(ModelFamily family) {
  switch (family) {
    case ModelFamily::kLlama:
      return "llama";
    case ModelFamily::kQwen2:
      return "qwen2";
    case ModelFamily::kQwen3:
      return "qwen3";
  }
  return "?";
}

std::string_view rope_scaling_name(RopeScaling scaling) {
  switch (scaling) {
    case RopeScaling::kNone:
      return "none";
    case RopeScaling::kLlama3:
      return "llama3";
    case RopeScaling::kYarn:
      return "yarn";
    case RopeScaling::kFreqFactors:
      return "frequency factors";
  }
  return "?";
}

Result<void> validate(const ModelConfig& c, const std::string& where) {
  KVTOLL_TRY_VOID(check_counts(c, where));
  if (!(c.rms_eps > 0.0 && c.rms_eps <= 1.0))
    return input_error("{}: rms_norm_eps is {}, must be in (0, 1]", where, c.rms_eps);
  return check_rope(c, where);
}

}  // namespace kvtoll
