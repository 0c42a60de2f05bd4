// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How far one next-token distribution is from another, and sums of it over positions. No model
// here.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace kvtoll {

// What one position says: q (tested) against p (reference), both as logits over one vocabulary.
struct PositionDivergence {
  int64_t position = 0;                          // cached tokens before the step
  double kl = 0.0;                               // KL(p || q) in nats, at least 0
  bool same_top = false;                         // the same most likely token
  double nll_reference = 0.0, nll_tested = 0.0;  // -log probability of the text's next token
};

// target: the text's next token. Logits may hold padding rows beyond the tokenizer's vocabulary.
PositionDivergence compare_logits(std::span<const float> reference, std::span<const float> tested,
                                  int32_t target, int64_t position);

struct DivergenceSummary {
  int64_t positions = 0;
  double kl_mean = 0.0, kl_p99 = 0.0, kl_max = 0.0;
  double top1_agreement = 0.0;  // share
  double perplexity_reference = 0.0, perplexity_tested = 0.0;
};
DivergenceSummary summarize_divergence(std::span<const PositionDivergence> positions);

// The same by position: edges at powers of two from 32 up, empty bins left out.
struct DivergenceBin {
  int64_t from = 0, to = 0;  // positions from <= p < to
  DivergenceSummary summary;
};
std::vector<DivergenceBin> divergence_by_position(std::span<const PositionDivergence> positions);

}  // namespace kvtoll
