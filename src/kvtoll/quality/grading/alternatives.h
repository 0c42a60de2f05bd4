// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Trees with \pm as the list of values they stand for, and small rewrites that come before a
// comparison: labels ("x ="), approximations, number words.
#pragma once

#include <optional>
#include <vector>

#include "kvtoll/quality/grading/expression.h"

namespace kvtoll {

bool has_plus_minus(const Expr& expr);
// Every choice of signs: one sign for all where \mp occurs, independent ones otherwise (at most 32
// values; more gives an empty list).
std::vector<Expr> expand_plus_minus(const Expr& expr);

// "x = 5", "f(x) = x + 1", "D = (0,1)", "AB = 2+3 = 5": what stands right of the last sign; nullopt
// if the left side is no label. `label` becomes the name.
std::optional<Expr> assigned_value(const Expr& relation, std::string& label);

// "2 hours, 15 minutes", a list of ever smaller units, as one quantity.
std::optional<Expr> joined_units(const Expr& list);

// Words for numbers become numbers, "a \approx b" becomes a, "n = 1, 2" the list of values.
Expr tidy_answer(Expr expr);

}  // namespace kvtoll
