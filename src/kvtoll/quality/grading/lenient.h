// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The lenient policy: two answers are equal if they state the same value, whatever the notation.
// Rules by kind of answer (docs/evaluating.md lists them with examples):
//   scalars        same value, exactly or at random points; 6 or more digits stand for what they
//   round lists, sets    same members in any order; "x = 1 or x = 2" is a list of values; \pm
//   expands tuples         member by member; an interval, inequality or union as a set of reals
//   equations      equal up to a constant factor; "x = 5" also equals 5
//   percent, units one side without them: the number alone; both with: compatible units, converted
//   text           case, style and punctuation do not count
#pragma once

#include <string>
#include <string_view>

#include "kvtoll/quality/grading/evaluate.h"

namespace kvtoll {

// What the two answers were read as, and why the verdict is what it is.
struct LenientVerdict {
  bool equal = false;
  std::string gold_tree, pred_tree;  // prefix form, or "unparsed: REASON"
  std::string reason;                // "same value", "same text", "different", "too complex"
};
LenientVerdict lenient_verdict(std::string_view gold, std::string_view pred);

// Whether two trees state the same answer.
bool trees_equal(const Expr& a, const Expr& b, Budget& budget);

}  // namespace kvtoll
