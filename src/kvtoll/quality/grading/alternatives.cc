// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/alternatives.h"

#include <algorithm>
#include <array>

#include "kvtoll/quality/grading/latex_text.h"
#include "kvtoll/quality/grading/text_tools.h"
#include "kvtoll/quality/grading/units.h"

namespace kvtoll {
namespace {

constexpr int kMaxSigns = 5;

int count_signs(const Expr& e, bool& opposite) {
  int n = e.is(ExprKind::kPlusMinus) ? 1 : 0;
  if (n == 1 && e.text == "-+") opposite = true;
  for (const Expr& arg : e.args) n += count_signs(arg, opposite);
  return n;
}

// Sign k of the walk is minus if bit k of `choice` is set (bit 0 for all when tied).
Expr choose(const Expr& e, unsigned choice, bool tied, int& next) {
  Expr out = e;
  if (e.is(ExprKind::kPlusMinus)) {
    const int k = tied ? 0 : next++;
    const bool minus = ((choice >> k) & 1u) != (e.text == "-+" ? 1u : 0u);
    std::vector<Expr> args;
    for (const Expr& arg : e.args) args.push_back(choose(arg, choice, tied, next));
    if (minus) args.back() = make_node(ExprKind::kNegate, {args.back()});
    return args.size() == 1 ? args[0] : make_node(ExprKind::kAdd, std::move(args));
  }
  for (Expr& arg : out.args) arg = choose(Expr(arg), choice, tied, next);
  return out;
}

bool capital(const Expr& e) {
  return e.is(ExprKind::kVariable) && !e.text.empty() && e.text[0] >= 'A' && e.text[0] <= 'Z';
}

// A name that stands for the answer: x, \theta, AB, f(x), (x, y), "Area".
bool is_label(const Expr& e, std::string& label) {
  label = to_string(e);
  if (e.is(ExprKind::kVariable) || e.is(ExprKind::kText)) return true;
  if (e.is(ExprKind::kConstant)) return e.text != "pi";
  if (e.is(ExprKind::kFunction)) return e.text == "abs" || e.text == "det";
  if (e.is(ExprKind::kTuple))
    return std::all_of(e.args.begin(), e.args.end(),
                       [](const Expr& arg) { return arg.is(ExprKind::kVariable); });
  if (!e.is(ExprKind::kMultiply)) return false;
  // f(x), f^{-1}(x)
  const bool inverse = e.args[0].is(ExprKind::kPower) && e.args[0].args[1].is(ExprKind::kNumber) &&
                       e.args[0].args[1].value == -1;
  const Expr& name = inverse ? e.args[0].args[0] : e.args[0];
  const bool function = e.args.size() == 2 && name.is(ExprKind::kVariable) &&
                        std::string_view("fghpqFGPQT").find(name.text[0]) != std::string_view::npos;
  const bool measure = name.is(ExprKind::kVariable) && name.text == "m";  // m\angle ABC
  return function || std::all_of(e.args.begin() + (measure ? 1 : 0), e.args.end(), capital);
}

std::optional<int> number_word(const std::string& word) {
  constexpr std::array<std::string_view, 21> kWords = {
      "zero",     "one",     "two",     "three",     "four",     "five",     "six",
      "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",   "thirteen",
      "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"};
  for (size_t i = 0; i < kWords.size(); ++i)
    if (kWords[i] == word) return static_cast<int>(i);
  return std::nullopt;
}

// "a = b \approx c" ends before the approximation.
Expr drop_approximation(Expr e) {
  const auto operators = split(e.text, " ");
  const auto at = std::find(operators.begin(), operators.end(), "~");
  if (at == operators.end()) return e;
  const auto keep = static_cast<size_t>(at - operators.begin());
  if (keep == 0) return Expr(e.args[0]);
  std::string kept;
  for (size_t i = 0; i < keep; ++i) kept += (i ? " " : "") + std::string(operators[i]);
  e.args.resize(keep + 1);
  e.text = kept;
  return e;
}

}  // namespace

std::optional<Expr> joined_units(const Expr& list) {
  if (!list.is(ExprKind::kList) || list.text == "or") return std::nullopt;
  std::optional<Expr> total = list.args[0];
  for (size_t i = 1; total && i < list.args.size(); ++i)
    total = in_smaller_unit(*total, list.args[i]);
  return total;
}

bool has_plus_minus(const Expr& expr) {
  if (expr.is(ExprKind::kPlusMinus)) return true;
  return std::any_of(expr.args.begin(), expr.args.end(), has_plus_minus);
}

std::vector<Expr> expand_plus_minus(const Expr& expr) {
  bool tied = false;
  const int signs = count_signs(expr, tied);
  std::vector<Expr> out;
  if (signs > kMaxSigns) return out;
  const unsigned choices = 1u << (tied ? 1 : signs);
  for (unsigned choice = 0; choice < choices; ++choice) {
    int next = 0;
    out.push_back(choose(expr, choice, tied, next));
  }
  return out;
}

std::optional<Expr> assigned_value(const Expr& relation, std::string& label) {
  if (!relation.is(ExprKind::kRelation) || !is_label(relation.args[0], label)) return std::nullopt;
  for (std::string_view op : split(relation.text, " "))
    if (op != "=") return std::nullopt;
  return relation.args.back();
}

Expr tidy_answer(Expr e) {
  if (e.is(ExprKind::kRelation)) e = drop_approximation(std::move(e));
  if (e.is(ExprKind::kText)) {
    if (const auto n = number_word(plain_words(e.text))) return make_number(Rational(*n));
    return e;
  }
  if (!e.is(ExprKind::kList)) return e;
  std::string label;
  for (Expr& arg : e.args) arg = tidy_answer(std::move(arg));
  const bool only_first = std::none_of(e.args.begin() + 1, e.args.end(),
                                       [](const Expr& arg) { return arg.is(ExprKind::kRelation); });
  if (only_first)
    if (auto value = assigned_value(e.args[0], label)) e.args[0] = *std::move(value);
  return e;
}

}  // namespace kvtoll
