// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Values of scalar trees: exactly, as complex rationals, where only + - * / and whole powers occur;
// numerically, as complex long double, where roots and functions do. Both are bounded by a budget
// of node visits, so that no answer can hang the grader.
#pragma once

#include <complex>
#include <map>
#include <optional>
#include <string>

#include "kvtoll/quality/grading/expression.h"

namespace kvtoll {

struct ExactComplex {
  Rational re, im;
  bool operator==(const ExactComplex&) const = default;
};

using Complex = std::complex<long double>;

struct Budget {
  int64_t left = 400'000;
  bool spend(int64_t n) { return (left -= n) >= 0; }
};

struct Conventions {
  bool log_is_natural = false;    // \log without a base: base 10 or base e
  bool letters_are_free = false;  // "e" and "i" are variables (what SymPy does with lower case)
};

// Point: values of variables. nullopt: a function, a variable without a value, a division by zero,
// a number beyond 2,048 bits, or the budget is spent.
std::optional<ExactComplex> evaluate_exact(const Expr& expr,
                                           const std::map<std::string, Rational>& point,
                                           const Conventions& conventions, Budget& budget);

// nullopt: as above, or not finite. `magnitude` becomes the largest absolute value met on the way:
// rounding errors are relative to it.
std::optional<Complex> evaluate_numeric(const Expr& expr,
                                        const std::map<std::string, Complex>& point,
                                        const Conventions& conventions, Budget& budget,
                                        long double& magnitude);

// A real constant as long double, infinity included; nullopt if it is not one.
std::optional<long double> real_value(const Expr& expr, Budget& budget);

// True for trees of numbers, variables, operations and functions: what the two above can take.
bool is_scalar(const Expr& expr);

}  // namespace kvtoll
