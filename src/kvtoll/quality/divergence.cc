// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/divergence.h"

#include <algorithm>
#include <cmath>

#include "kvtoll/core/check.h"
#include "kvtoll/core/statistics.h"

namespace kvtoll {
namespace {

// log of the sum of exponentials, and the place of the largest logit.
double log_sum(std::span<const float> logits, size_t& top) {
  top = static_cast<size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  const double peak = logits[top];
  double sum = 0.0;
  for (float x : logits) sum += std::exp(static_cast<double>(x) - peak);
  return peak + std::log(sum);
}

}  // namespace

PositionDivergence compare_logits(std::span<const float> reference, std::span<const float> tested,
                                  int32_t target, int64_t position) {
  KVTOLL_CHECK(reference.size() == tested.size() && target >= 0 &&
                   static_cast<size_t>(target) < reference.size(),
               "{} and {} logits, target {}", reference.size(), tested.size(), target);
  size_t top_p = 0, top_q = 0;
  const double zp = log_sum(reference, top_p), zq = log_sum(tested, top_q);
  double kl = 0.0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double logp = reference[i] - zp;
    if (logp > -80.0) kl += std::exp(logp) * (logp - (tested[i] - zq));
  }
  const auto t = static_cast<size_t>(target);
  return {position, std::max(0.0, kl), top_p == top_q, zp - reference[t], zq - tested[t]};
}

DivergenceSummary summarize_divergence(std::span<const PositionDivergence> positions) {
  DivergenceSummary s;
  s.positions = static_cast<int64_t>(positions.size());
  if (positions.empty()) return s;
  std::vector<double> kl;
  double same = 0.0, nll_p = 0.0, nll_q = 0.0;
  for (const PositionDivergence& p : positions) {
    kl.push_back(p.kl);
    same += p.same_top;
    nll_p += p.nll_reference;
    nll_q += p.nll_tested;
  }
  const auto n = static_cast<double>(positions.size());
  for (double x : kl) s.kl_mean += x / n;
  s.kl_max = *std::max_element(kl.begin(), kl.end());
  s.kl_p99 = percentile(std::move(kl), 99.0);
  s.top1_agreement = same / n;
  s.perplexity_reference = std::exp(nll_p / n);
  s.perplexity_tested = std::exp(nll_q / n);
  return s;
}

std::vector<DivergenceBin> divergence_by_position(std::span<const PositionDivergence> positions) {
  std::vector<DivergenceBin> bins;
  int64_t last = 0;
  for (const PositionDivergence& p : positions) last = std::max(last, p.position);
  for (int64_t from = 0, to = 32; from <= last; from = to, to *= 2) {
    std::vector<PositionDivergence> inside;
    for (const PositionDivergence& p : positions)
      if (p.position >= from && p.position < to) inside.push_back(p);
    if (!inside.empty()) bins.push_back({from, to, summarize_divergence(inside)});
  }
  return bins;
}

}  // namespace kvtoll
