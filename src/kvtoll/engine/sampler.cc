// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/engine/sampler.h"

#include <algorithm>
#include <cmath>

namespace kvtoll {

int32_t Sampler::pick(std::span<const float> logits) {
  const auto top = std::max_element(logits.begin(), logits.end());
  if (sampling_.greedy()) return static_cast<int32_t>(top - logits.begin());
  weights_.clear();
  double total = 0.0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double w = std::exp((double{logits[i]} - double{*top}) / sampling_.temperature);
    if (!(w > 0.0)) continue;  // out of double's range, or NaN
    weights_.emplace_back(w, static_cast<int32_t>(i));
    total += w;
  }
  if (weights_.empty()) return static_cast<int32_t>(top - logits.begin());
  if (sampling_.top_p < 1.0) {
    std::ranges::sort(weights_, [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    });
    double kept = 0.0;
    size_t n = 0;
    while (n < weights_.size() && (n == 0 || kept < sampling_.top_p * total))
      kept += weights_[n++].first;
    weights_.resize(n);
    total = kept;
  }
  double left = rng_.uniform() * total;
  for (const auto& [weight, token] : weights_)
    if ((left -= weight) < 0.0) return token;
  return weights_.back().second;
}

}  // namespace kvtoll
