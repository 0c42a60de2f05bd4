// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Subsets of the real line as sorted, disjoint pieces: what intervals, unions, inequalities in one
// variable, "x \in ..." and "\mathbb{R} \setminus \{3\}" have in common.
#pragma once

#include <optional>
#include <vector>

#include "kvtoll/quality/grading/evaluate.h"

namespace kvtoll {

struct RealPiece {
  long double low, high;
  bool low_closed, high_closed;
};
using RealSet = std::vector<RealPiece>;

// nullopt: not a subset of the line we can state (symbolic ends, more variables, not linear).
std::optional<RealSet> real_set(const Expr& expr, Budget& budget);
bool real_sets_equal(const RealSet& a, const RealSet& b);

}  // namespace kvtoll
