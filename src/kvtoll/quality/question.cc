// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/question.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "kvtoll/core/rng.h"

namespace kvtoll {

const std::vector<Question>* Examples::find(std::string_view group) const {
  for (const auto& [name, questions] : by_group)
    if (name == group) return &questions;
  return nullptr;
}

std::vector<Question> stratified_subset(const std::vector<Question>& all, int count,
                                        uint64_t seed) {
  const auto total = static_cast<int64_t>(all.size());
  if (count <= 0 || count >= total) return all;
  std::map<std::pair<std::string, int>, std::vector<size_t>> strata;
  for (size_t i = 0; i < all.size(); ++i) strata[{all[i].group, all[i].level}].push_back(i);
  // Largest remainder: shares are rounded down, what is left goes to the largest fractions.
  struct Share {
    std::vector<size_t>* members;
    int64_t taken, remainder;
    uint64_t tie;
  };
  std::vector<Share> shares;
  int64_t left = count;
  for (auto& [key, members] : strata) {
    const auto scaled = static_cast<int64_t>(members.size()) * count;
    shares.push_back({&members, scaled / total, scaled % total,
                      random_bits(seed, 1, static_cast<uint64_t>(shares.size()))});
    left -= scaled / total;
  }
  std::sort(shares.begin(), shares.end(), [](const Share& a, const Share& b) {
    return a.remainder != b.remainder ? a.remainder > b.remainder : a.tie < b.tie;
  });
  std::vector<size_t> chosen;
  for (size_t s = 0; s < shares.size(); ++s) {
    std::vector<size_t>& members = *shares[s].members;
    std::sort(members.begin(), members.end(), [seed](size_t a, size_t b) {
      return random_bits(seed, 2, a) < random_bits(seed, 2, b);
    });
    const int64_t take = shares[s].taken + (static_cast<int64_t>(s) < left ? 1 : 0);
    chosen.insert(chosen.end(), members.begin(), members.begin() + take);
  }
  std::sort(chosen.begin(), chosen.end());
  std::vector<Question> out;
  for (size_t i : chosen) out.push_back(all[i]);
  return out;
}

}  // namespace kvtoll
