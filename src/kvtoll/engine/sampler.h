// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Choosing the next token from logits: greedy, or temperature with nucleus (top-p) sampling. The
// random numbers of a sequence depend on its seed and index only, never on the batch around it.
// Example: Sampler sampler({.temperature = 0.6, .top_p = 0.95, .seed = 1}, 0);  sampler.pick(row)
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "kvtoll/core/rng.h"

namespace kvtoll {

struct Sampling {
  double temperature = 0.0;  // 0: greedy
  double top_p = 1.0;
  uint64_t seed = 0;

  bool greedy() const { return temperature <= 0.0; }
};

class Sampler {
 public:
  Sampler(const Sampling& sampling, uint64_t sequence)
      : sampling_(sampling), rng_(sampling.seed, sequence) {}
  // logits: [vocab]. The smallest set of tokens whose probability reaches top_p stays (Holtzman et
  // al. 2020), ties in token order.
  int32_t pick(std::span<const float> logits);

 private:
  int32_t pick_any(double total);
  int32_t pick_nucleus(double total);

  Sampling sampling_;
  Rng rng_;
  std::vector<float> weights_;                         // [vocab], exp of the scaled logits
  std::vector<std::pair<float, int32_t>> candidates_;  // what top-p has to sort
};

}  // namespace kvtoll
