// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The tree an answer is parsed into, with exact rationals for every number. Example:
// parse_latex("\\frac12 x") gives (* (/ 1 2) x); to_string() prints that form.
#pragma once

#include <boost/multiprecision/cpp_int.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvtoll {

using Integer = boost::multiprecision::cpp_int;
using Rational = boost::multiprecision::cpp_rational;

enum class ExprKind : uint8_t {
  kNumber,        // value; decimals >= 0 if written with a decimal point
  kInfinity,      // positive; a minus sign is a kNegate around it
  kVariable,      // text: name with subscript and primes
  kConstant,      // text: "pi", "e", "i"
  kAdd,           // args
  kMultiply,      // args
  kDivide,        // args[0] / args[1]
  kPower,         // args[0] ^ args[1]
  kNegate,        // args[0]
  kPlusMinus,     // text "+-" or "-+"; one arg (sign) or two (sum)
  kFunction,      // text: name; args. "log" and "root" have the base or index as args[1]
  kDegree,        // args[0] degrees
  kPercent,       // args[0] percent
  kQuantity,      // args[0] with the unit `text`
  kTuple,         // text: opening and closing bracket, e.g. "(]"; two or more args
  kSet,           // braces; any number of args
  kList,          // text: ",", "and", "or"; no brackets around it; two or more args
  kMatrix,        // text: "ROWSxCOLUMNS"; args row by row
  kRelation,      // chain: args[0] op[0] args[1] op[1] ...; text: operators, space between
  kUnion,         // args
  kIntersection,  // args
  kDifference,    // args[0] without args[1]
  kRatio,         // args[0] : args[1] : ...
  kText,          // text: words as written
};

struct Expr {
  ExprKind kind = ExprKind::kNumber;
  std::string text;
  Rational value;
  int decimals = -1;
  std::vector<Expr> args;

  bool is(ExprKind k) const { return kind == k; }
};

Expr make_number(Rational value);
Expr make_node(ExprKind kind, std::vector<Expr> args, std::string text = {});

// One line, prefix form: "(+ (^ x 2) 1)", "[0, 9)" as "(interval [) 0 9)".
std::string to_string(const Expr& expr);

// The relation that holds when the sides change places: "<=" for ">="; "=" stays.
std::string mirrored_relation(std::string_view op);

// Nodes of the tree.
int64_t node_count(const Expr& expr);
// The variables in it, sorted, each once.
std::vector<std::string> variables_of(const Expr& expr);

}  // namespace kvtoll
