// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Units an answer may carry: one spelling per unit, what it measures and its factor, so that
// "100 cm" equals "1 m" and "5 ft" equals "5 feet".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kvtoll/quality/grading/expression.h"

namespace kvtoll {

struct Unit {
  std::string dimension;  // "length^2", "money", or the unknown word itself
  Rational factor = 1;    // to the dimension's base unit
  bool known = false;
};

// One word, singular or plural, abbreviated or not. nullopt: not a unit we know.
std::optional<Unit> find_unit(std::string_view word);
// "5 feet" and "6 inches" as (quantity inches (+ (* 12 5) 6)): a quantity and what follows it in a
// smaller unit of the same kind. nullopt: they do not belong together.
std::optional<Expr> in_smaller_unit(const Expr& larger, const Expr& smaller);
// A phrase such as "square feet", "cm^2", "miles per hour", "m/s".
Unit parse_unit(std::string_view phrase);

}  // namespace kvtoll
