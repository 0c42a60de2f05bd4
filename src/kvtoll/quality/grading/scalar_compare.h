// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Whether two scalar trees have the same value: exactly where both are rational functions, else at
// random points. A decimal equals a value that no finite decimal states (1/3, \pi) if it gives at
// least six significant digits of it correctly.
#pragma once

#include "kvtoll/quality/grading/evaluate.h"

namespace kvtoll {

bool scalars_equal(const Expr& a, const Expr& b, const Conventions& conventions, Budget& budget);

// a / b at random points: its constant value, or nullopt if it is not constant, zero or undefined.
std::optional<Complex> constant_ratio(const Expr& a, const Expr& b, Budget& budget);

// Whether a = 0 and b = 0 have the same solutions: every zero of one that Newton's iteration finds
// (in one variable, the others at random) is a zero of the other. Catches y = 1/x against xy = 1.
bool same_zeros(const Expr& a, const Expr& b, Budget& budget);

}  // namespace kvtoll
