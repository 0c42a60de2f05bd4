// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace kvtoll {
namespace {

// e^x for x <= 0 within 3e-7, NaN as the smallest weight; plain arithmetic that compilers turn into
// SIMD, because a batch of samplers walks millions of logits per step. Cody and Waite's reduction,
// Cephes' polynomial.
inline float exp_of(float x) {
  x = x > -87.0f ? x : -87.0f;
  const float shifted = x * 1.44269504f + 12582912.0f;  // rounds to an integer in the low bits
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float value = p * r * r + r + 1.0f;
  const auto exponent = std::bit_cast<int32_t>(shifted) - std::bit_cast<int32_t>(12582912.0f);
  return value * std::bit_cast<float>((exponent + 127) << 23);
}

constexpr size_t kLanes = 16;  // independent sums, so that the loops need no order

float largest(std::span<const float> x) {
  std::array<float, kLanes> tops;
  tops.fill(-INFINITY);
  size_t i = 0;
  for (; i + kLanes <= x.size(); i += kLanes)
    for (size_t l = 0; l < kLanes; ++l) tops[l] = tops[l] < x[i + l] ? x[i + l] : tops[l];
  float top = *std::max_element(tops.begin(), tops.end());
  for (; i < x.size(); ++i) top = top < x[i] ? x[i] : top;
  return top;
}

double sum_of(const std::vector<float>& x) {
  constexpr size_t kBlock = 64 * kLanes;  // fp32 sums stay short
  double total = 0.0;
  for (size_t begin = 0; begin < x.size(); begin += kBlock) {
    const size_t end = std::min(x.size(), begin + kBlock);
    std::array<float, kLanes> sums{};
    size_t i = begin;
    for (; i + kLanes <= end; i += kLanes)
      for (size_t l = 0; l < kLanes; ++l) sums[l] += x[i + l];
    for (float s : sums) total += s;
    for (; i < end; ++i) total += x[i];
  }
  return total;
}

}  // namespace

int32_t Sampler::pick(std::span<const float> logits) {
  const float top = largest(logits);
  const auto first = std::ranges::find(logits, top);
  if (first == logits.end()) return 0;  // nothing but NaN
  if (sampling_.greedy()) return static_cast<int32_t>(first - logits.begin());
  const auto scale = static_cast<float>(1.0 / sampling_.temperature);
  weights_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) weights_[i] = exp_of((logits[i] - top) * scale);
  const double total = sum_of(weights_);
  return sampling_.top_p < 1.0 ? pick_nucleus(total) : pick_any(total);
}

int32_t Sampler::pick_any(double total) {
  double left = rng_.uniform() * total;
  for (size_t i = 0; i < weights_.size(); ++i)
    if ((left -= weights_[i]) < 0.0) return static_cast<int32_t>(i);
  return static_cast<int32_t>(std::ranges::max_element(weights_) - weights_.begin());
}

int32_t Sampler::pick_nucleus(double total) {
  // All weights below the cutoff together are less than 1 - top_p: the nucleus lies above it.
  const auto cutoff =
      static_cast<float>((1.0 - sampling_.top_p) * total / static_cast<double>(weights_.size()));
  candidates_.clear();
  for (size_t i = 0; i < weights_.size(); ++i)
    if (weights_[i] >= cutoff) candidates_.emplace_back(weights_[i], static_cast<int32_t>(i));
  std::ranges::sort(candidates_, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  double kept = 0.0;
  size_t n = 0;
  while (n < candidates_.size() && (n == 0 || kept < sampling_.top_p * total))
    kept += candidates_[n++].first;
  double left = rng_.uniform() * kept;
  for (size_t i = 0; i < n; ++i)
    if ((left -= candidates_[i].first) < 0.0) return candidates_[i].second;
  return candidates_[n - 1].second;
}

}  // namespace kvtoll
