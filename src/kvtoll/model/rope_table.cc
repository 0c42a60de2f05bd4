// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// rope_table() of config.h, operation by operation as transformers' modeling_rope_utils: what is a
// float32 tensor there is float here, what is a Python number there is double here.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "kvtoll/core/check.h"
#include "kvtoll/model/config.h"

namespace kvtoll {
namespace {

// base^(2i / head_dim). The power is taken in double and rounded once: torch's float pow is within
// one unit in the last place of that.
std::vector<float> position_wavelengths(const ModelConfig& c) {
  std::vector<float> out(static_cast<size_t>(c.head_dim / 2));
  for (size_t i = 0; i < out.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(c.head_dim);
    out[i] = static_cast<float>(std::pow(c.rope.theta, static_cast<double>(exponent)));
  }
  return out;
}

// Llama 3.1: long wavelengths are divided by `factor`, short ones kept, a ramp between.
void scale_llama3(const RopeConfig& r, std::vector<float>& inv_freq) {
  const auto low_wavelength = static_cast<float>(r.original_max_position / r.low_freq_factor);
  const auto high_wavelength = static_cast<float>(r.original_max_position / r.high_freq_factor);
  const auto factor = static_cast<float>(r.factor);
  const auto low = static_cast<float>(r.low_freq_factor);
  const auto range = static_cast<float>(r.high_freq_factor - r.low_freq_factor);
  for (float& f : inv_freq) {
    const float wavelength = static_cast<float>(2.0 * std::numbers::pi) / f;
    if (wavelength > low_wavelength) {
      f = f / factor;
    } else if (!(wavelength < high_wavelength)) {
      const float smooth = (static_cast<float>(r.original_max_position) / wavelength - low) / range;
      f = (1.0f - smooth) * f / factor + smooth * f;
    }
  }
}

// YaRN (arXiv:2309.00071): pairs that turn often keep their frequency, pairs that turn seldom are
// interpolated, a ramp over the pair index between.
void scale_yarn(const ModelConfig& c, const std::vector<float>& wavelengths,
                std::vector<float>& inv_freq) {
  const RopeConfig& r = c.rope;
  const auto correction_dim = [&](double rotations) {
    return c.head_dim * std::log(r.original_max_position / (rotations * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(r.theta));
  };
  double low = correction_dim(r.beta_fast), high = correction_dim(r.beta_slow);
  if (r.yarn_truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(c.head_dim - 1));
  if (low == high) high += 0.001;  // as the source does, against a division by zero
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const float ramp = std::clamp(
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f,
        1.0f);
    const float keep = 1.0f - ramp;
    const float interpolated = 1.0f / (static_cast<float>(r.factor) * wavelengths[i]);
    inv_freq[i] = interpolated * (1.0f - keep) + inv_freq[i] * keep;
  }
}

}  // namespace

RopeTable rope_table(const ModelConfig& config) {
  const RopeConfig& r = config.rope;
  const std::vector<float> wavelengths = position_wavelengths(config);
  RopeTable table;
  for (float w : wavelengths) table.inv_freq.push_back(1.0f / w);
  switch (r.scaling) {
    case RopeScaling::kNone:
      break;
    case RopeScaling::kLlama3:
      scale_llama3(r, table.inv_freq);
      break;
    case RopeScaling::kYarn:
      scale_yarn(config, wavelengths, table.inv_freq);
      table.attention_factor = static_cast<float>(r.attention_factor > 0.0 ? r.attention_factor
                                                  : r.factor > 1.0 ? 0.1 * std::log(r.factor) + 1.0
                                                                   : 1.0);
      break;
    case RopeScaling::kFreqFactors:
      KVTOLL_CHECK(r.freq_factors.size() == table.inv_freq.size(),
                   "{}: {} rope factors for {} pairs", config.name, r.freq_factors.size(),
                   table.inv_freq.size());
      for (size_t i = 0; i < table.inv_freq.size(); ++i) table.inv_freq[i] /= r.freq_factors[i];
      break;
  }
  return table;
}

}  // namespace kvtoll
