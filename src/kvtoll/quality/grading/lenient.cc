// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/lenient.h"

#include <algorithm>
#include <cmath>

#include "kvtoll/quality/grading/alternatives.h"
#include "kvtoll/quality/grading/latex_parser.h"
#include "kvtoll/quality/grading/latex_text.h"
#include "kvtoll/quality/grading/real_set.h"
#include "kvtoll/quality/grading/scalar_compare.h"
#include "kvtoll/quality/grading/text_tools.h"
#include "kvtoll/quality/grading/units.h"

namespace kvtoll {
namespace {

bool is_collection(const Expr& e) { return e.is(ExprKind::kList) || e.is(ExprKind::kSet); }

// Product of bare letters, a letter, or words: what a text answer can have been read as.
std::string letters_of(const Expr& e) {
  if (e.is(ExprKind::kText)) return plain_words(e.text);
  if (e.is(ExprKind::kVariable) || e.is(ExprKind::kConstant)) return lower_ascii(e.text);
  if (!e.is(ExprKind::kMultiply)) return {};
  std::string all;
  for (const Expr& arg : e.args) {
    if (!arg.is(ExprKind::kVariable) && !arg.is(ExprKind::kConstant)) return {};
    all += lower_ascii(arg.text);
  }
  return all;
}

class Comparer {
 public:
  explicit Comparer(Budget& budget) : budget_(budget) {}

  bool equal(const Expr& left, const Expr& right) {
    if (!budget_.spend(4)) return false;
    const Expr a = tidy_answer(left), b = tidy_answer(right);
    if (a.is(ExprKind::kRelation) || b.is(ExprKind::kRelation)) return with_relation(a, b);
    if (const auto joined = joined_units(a); joined && !is_collection(b)) return equal(*joined, b);
    if (const auto joined = joined_units(b); joined && !is_collection(a)) return equal(a, *joined);
    if (has_unit(a) || has_unit(b)) return with_units(a, b);
    if (is_collection(a) || is_collection(b) || has_plus_minus(a) || has_plus_minus(b))
      return collections(a, b);
    if (a.is(ExprKind::kText) || b.is(ExprKind::kText)) {
      if (!letters_of(a).empty() && letters_of(a) == letters_of(b)) return true;
      return sets(a, b);
    }
    if (a.is(ExprKind::kTuple) && b.is(ExprKind::kTuple)) return tuples(a, b) || sets(a, b);
    if (a.is(ExprKind::kMatrix) || b.is(ExprKind::kMatrix)) return matrices(a, b);
    if (a.is(ExprKind::kRatio) || b.is(ExprKind::kRatio)) return ratios(a, b);
    if (is_scalar(a) && is_scalar(b)) return scalars_equal(a, b, {}, budget_);
    if (infinite(a) || infinite(b)) return infinite(a) == infinite(b);
    return sets(a, b) || same_structure(a, b);
  }

 private:
  static bool has_unit(const Expr& e) {
    return e.is(ExprKind::kPercent) || e.is(ExprKind::kQuantity) || e.is(ExprKind::kDegree);
  }

  int infinite(const Expr& e) {
    const auto v = e.is(ExprKind::kInfinity) || e.is(ExprKind::kNegate)
                       ? real_value(e, budget_)
                       : std::optional<long double>();
    return v && std::isinf(*v) ? (*v > 0 ? 1 : -1) : 0;
  }

  bool sets(const Expr& a, const Expr& b) {
    const auto sa = real_set(a, budget_);
    if (!sa) return false;
    const auto sb = real_set(b, budget_);
    return sb && real_sets_equal(*sa, *sb);
  }

  // --- relations

  bool with_relation(const Expr& a, const Expr& b) {
    std::string label_a, label_b;
    const auto value_a = assigned_value(a, label_a), value_b = assigned_value(b, label_b);
    if (value_a && value_b) {
      const bool words = a.args[0].is(ExprKind::kText) || b.args[0].is(ExprKind::kText);
      if ((label_a == label_b || words) && equal(*value_a, *value_b)) return true;
      return relations(a, b);
    }
    if (value_a && !b.is(ExprKind::kRelation)) return equal(*value_a, b);
    if (value_b && !a.is(ExprKind::kRelation)) return equal(a, *value_b);
    if (a.is(ExprKind::kRelation) && b.is(ExprKind::kRelation) && relations(a, b)) return true;
    // x > 2 is not y > 2.
    const bool both = a.is(ExprKind::kRelation) && b.is(ExprKind::kRelation);
    if ((!both || variables_of(a) == variables_of(b)) && sets(a, b)) return true;
    return membership(a, b);
  }

  // "x \in {1, 2}" against "1, 2" or another membership.
  bool membership(const Expr& a, const Expr& b) {
    auto inside = [](const Expr& e) { return e.is(ExprKind::kRelation) && e.text == "in"; };
    if (inside(a) && inside(b)) return equal(a.args[0], b.args[0]) && equal(a.args[1], b.args[1]);
    if (inside(a) && !b.is(ExprKind::kRelation)) return equal(a.args[1], b);
    return inside(b) && !a.is(ExprKind::kRelation) && equal(a, b.args[1]);
  }

  // With every sign turned to "smaller on the left" where the first one is ">".
  static Expr oriented(const Expr& e) {
    if (!e.text.starts_with('>')) return e;
    Expr out = e;
    std::reverse(out.args.begin(), out.args.end());
    auto operators = split(e.text, " ");
    std::reverse(operators.begin(), operators.end());
    out.text.clear();
    for (std::string_view op : operators)
      out.text += (out.text.empty() ? "" : " ") + mirrored_relation(op);
    return out;
  }

  bool relations(const Expr& left, const Expr& right) {
    const Expr a = oriented(left), b = oriented(right);
    if (a.text != b.text || a.args.size() != b.args.size()) return false;
    if (a.args.size() == 2 && scalar_sides(a) && scalar_sides(b)) {
      auto difference = [](const Expr& e) {
        return make_node(ExprKind::kAdd, {e.args[1], make_node(ExprKind::kNegate, {e.args[0]})});
      };
      const auto ratio = constant_ratio(difference(a), difference(b), budget_);
      const bool symmetric = a.text == "=" || a.text == "!=";
      if (ratio && (symmetric || (ratio->real() > 0 && std::abs(ratio->imag()) < 1e-12L)))
        return true;
      if (a.text == "=" && same_zeros(difference(a), difference(b), budget_)) return true;
    }
    for (size_t i = 0; i < a.args.size(); ++i)
      if (!equal(a.args[i], b.args[i])) return false;
    return true;
  }

  static bool scalar_sides(const Expr& e) {
    return (e.text == "=" || e.text == "!=" || e.text == "<" || e.text == "<=") &&
           is_scalar(e.args[0]) && is_scalar(e.args[1]);
  }

  // --- units and percent

  static Unit unit_of(const Expr& e) {
    if (e.is(ExprKind::kDegree)) return parse_unit("degrees");
    return e.is(ExprKind::kQuantity) ? parse_unit(e.text) : Unit{};
  }
  static Expr scaled(const Rational& factor, const Expr& e) {
    if (factor == 1) return e;
    return make_node(ExprKind::kMultiply, {make_number(factor), e});
  }

  // 90^\circ is \pi/2; anything but an angle stays what it is.
  static Expr in_radians(const Expr& e) {
    if (unit_of(e).dimension != "angle") return e.args[0];
    return make_node(ExprKind::kMultiply, {make_number(Rational(1, 180)),
                                           make_node(ExprKind::kConstant, {}, "pi"), e.args[0]});
  }

  bool with_units(const Expr& a, const Expr& b) {
    const bool percent_a = a.is(ExprKind::kPercent), percent_b = b.is(ExprKind::kPercent);
    if (percent_a && percent_b) return equal(a.args[0], b.args[0]);
    if (percent_a || percent_b) {
      const Expr& percent = percent_a ? a : b;
      const Expr& other = percent_a ? b : a;
      return equal(percent.args[0], other) ||
             equal(scaled(Rational(1, 100), percent.args[0]), other);
    }
    if (!has_unit(a) || !has_unit(b)) {
      const Expr &number = has_unit(a) ? b : a, &measured = has_unit(a) ? a : b;
      return equal(measured.args[0], number) || equal(in_radians(measured), number);
    }
    const Unit ua = unit_of(a), ub = unit_of(b);
    if (ua.dimension != ub.dimension) return false;
    if (ua.factor == ub.factor) return equal(a.args[0], b.args[0]);
    return equal(scaled(ua.factor, a.args[0]), scaled(ub.factor, b.args[0]));
  }

  // --- collections

  // The members, with every \pm expanded and "x = " dropped where every member has the same label.
  std::vector<Expr> members(const Expr& e) {
    std::vector<Expr> out;
    const std::vector<Expr> one = {e};
    const std::vector<Expr>& items = is_collection(e) ? e.args : one;
    std::string label, first;
    bool same_label = true;
    for (const Expr& item : items) {
      const bool named = assigned_value(item, label).has_value();
      if (&item == &items[0]) first = label;
      same_label = same_label && named && label == first;
    }
    for (const Expr& item : items) {
      const Expr value = same_label ? *assigned_value(item, label) : tidy_answer(item);
      if (!has_plus_minus(value)) {
        out.push_back(value);
        continue;
      }
      for (Expr& choice : expand_plus_minus(value)) out.push_back(std::move(choice));
    }
    return out;
  }

  bool collections(const Expr& a, const Expr& b) {
    if (assignments_as_tuple(a, b) || assignments_as_tuple(b, a)) return true;
    if ((a.is(ExprKind::kTuple) && !has_plus_minus(a)) ||
        (b.is(ExprKind::kTuple) && !has_plus_minus(b)))
      return sets(a, b);
    if (a.is(ExprKind::kList) && b.is(ExprKind::kList) && sets(a, b)) return true;
    std::vector<Expr> left = members(a), right = members(b);
    if (a.is(ExprKind::kSet)) unique(left);
    if (b.is(ExprKind::kSet)) unique(right);
    return same_members(left, std::move(right)) || sets(a, b);
  }

  void unique(std::vector<Expr>& items) {
    std::vector<Expr> kept;
    for (Expr& item : items) {
      const bool seen = std::any_of(kept.begin(), kept.end(),
                                    [&](const Expr& other) { return equal(item, other); });
      if (!seen) kept.push_back(std::move(item));
    }
    items = std::move(kept);
  }

  // Value equality is transitive, so taking the first partner is enough.
  bool same_members(const std::vector<Expr>& left, std::vector<Expr> right) {
    if (left.size() != right.size() || left.empty()) return left.size() == right.size();
    for (const Expr& item : left) {
      const auto partner = std::find_if(right.begin(), right.end(),
                                        [&](const Expr& other) { return equal(item, other); });
      if (partner == right.end()) return false;
      right.erase(partner);
    }
    return true;
  }

  // "x = 1, y = 2" against (1, 2).
  bool assignments_as_tuple(const Expr& list, const Expr& tuple) {
    if (!list.is(ExprKind::kList) || !tuple.is(ExprKind::kTuple)) return false;
    if (list.args.size() != tuple.args.size()) return false;
    std::string label, last;
    for (size_t i = 0; i < list.args.size(); ++i) {
      const auto value = assigned_value(list.args[i], label);
      if (!value || label == last || !equal(*value, tuple.args[i])) return false;
      last = label;
    }
    return true;
  }

  // --- what is compared member by member

  bool elementwise(const Expr& a, const Expr& b) {
    if (a.args.size() != b.args.size()) return false;
    for (size_t i = 0; i < a.args.size(); ++i)
      if (!equal(a.args[i], b.args[i])) return false;
    return true;
  }

  bool tuples(const Expr& a, const Expr& b) {
    const bool brackets_count = a.args.size() == 2;  // (1, 2) and [1, 2] differ; vectors do not
    return (!brackets_count || a.text == b.text) && elementwise(a, b);
  }

  // A column or a row may be written as a tuple.
  bool matrices(const Expr& a, const Expr& b) {
    if (a.is(ExprKind::kMatrix) && b.is(ExprKind::kMatrix))
      return a.text == b.text && elementwise(a, b);
    const Expr& matrix = a.is(ExprKind::kMatrix) ? a : b;
    const Expr& other = a.is(ExprKind::kMatrix) ? b : a;
    if (matrix.args.size() == 1) return equal(matrix.args[0], other);
    if (other.is(ExprKind::kTuple) && rows_equal(matrix, other)) return true;
    const bool line = matrix.text.starts_with("1x") || matrix.text.ends_with("x1");
    return line && other.is(ExprKind::kTuple) && elementwise(matrix, other);
  }

  // [[1, 2], [3, 4]] as a matrix.
  bool rows_equal(const Expr& matrix, const Expr& rows) {
    std::vector<Expr> cells;
    for (const Expr& row : rows.args) {
      if (!row.is(ExprKind::kTuple)) return false;
      cells.insert(cells.end(), row.args.begin(), row.args.end());
    }
    return matrix.text == fmt::format("{}x{}", rows.args.size(), rows.args[0].args.size()) &&
           elementwise(matrix, make_node(ExprKind::kTuple, std::move(cells)));
  }

  // 12:00 and 3:30 are times: two digits behind the colon. Anything else is a ratio.
  static bool is_time(const Expr& e) {
    return e.is(ExprKind::kRatio) &&
           std::all_of(e.args.begin() + 1, e.args.end(), [](const Expr& part) {
             const bool half = part.is(ExprKind::kQuantity) &&
                               (part.text == "am" || part.text == "pm");  // of the day
             const Expr& number = half ? part.args[0] : part;
             return number.is(ExprKind::kNumber) && number.text.size() == 2;
           });
  }

  bool ratios(const Expr& a, const Expr& b) {
    if (is_time(a) || is_time(b)) return same_structure(a, b);
    auto quotient = [](const Expr& e) {
      return e.is(ExprKind::kRatio) && e.args.size() == 2 ? make_node(ExprKind::kDivide, e.args)
                                                          : e;
    };
    const Expr qa = quotient(a), qb = quotient(b);
    if (!qa.is(ExprKind::kRatio) && !qb.is(ExprKind::kRatio)) return equal(qa, qb);
    if (qa.kind != qb.kind || qa.args.size() != qb.args.size()) return false;
    for (size_t i = 1; i < qa.args.size(); ++i)
      if (!equal(make_node(ExprKind::kDivide, {qa.args[i], qa.args[0]}),
                 make_node(ExprKind::kDivide, {qb.args[i], qb.args[0]})))
        return false;
    return true;
  }

  bool same_structure(const Expr& a, const Expr& b) {
    if (a.kind != b.kind) return false;
    if (a.is(ExprKind::kUnion) || a.is(ExprKind::kIntersection))
      return same_members(a.args, b.args);
    return a.text == b.text && !a.args.empty() && elementwise(a, b);
  }

  Budget& budget_;
};

// What cannot be parsed is compared as written, without spaces and style.
std::string squeezed(std::string_view answer) {
  std::string s = prepare_latex(answer);
  for (std::string_view gone : {"\\left", "\\right", "\\!", "\\,", "\\;", "\\ ", "\\displaystyle"})
    replace_all(s, gone, "");
  for (std::string_view style : {"\\dfrac", "\\tfrac"}) replace_all(s, style, "\\frac");
  std::erase(s, ' ');
  return s;
}

bool is_wordy(const Result<Expr>& tree, std::string_view source) {
  if (tree && tree->is(ExprKind::kText)) return true;
  if (source.size() == 2 && is_letter(source[0]) && source[1] == ')') return true;  // "A)"
  return source.find("\\text") != source.npos || source.find("\\mbox") != source.npos;
}

// The last $...$ of a sentence.
std::string_view last_formula(std::string_view pred) {
  const size_t close = pred.rfind('$');
  if (close == pred.npos || close == 0) return {};
  const size_t open = pred.rfind('$', close - 1);
  return open == pred.npos ? std::string_view{} : pred.substr(open + 1, close - open - 1);
}

struct Reading {
  std::string text;
  Result<Expr> joined, separate;  // "1,234" as one number, as two
  explicit Reading(std::string_view answer)
      : text(prepare_latex(answer)),
        joined(parse_latex(text)),
        separate(parse_latex(text, {.join_thousands = false})) {}
  std::string tree() const {
    return joined ? to_string(*joined) : "unparsed: " + joined.error().message;
  }
};

bool readings_equal(const Reading& a, const Reading& b, Budget& budget) {
  for (const auto* left : {&a.joined, &a.separate})
    for (const auto* right : {&b.joined, &b.separate})
      if (*left && *right && trees_equal(**left, **right, budget)) return true;
  return false;
}

}  // namespace

bool trees_equal(const Expr& a, const Expr& b, Budget& budget) {
  return Comparer(budget).equal(a, b);
}

LenientVerdict lenient_verdict(std::string_view gold, std::string_view pred) {
  const Reading g(gold), p(pred);
  LenientVerdict verdict{false, g.tree(), p.tree(), "different"};
  Budget budget;
  auto accept = [&](const char* reason) {
    verdict.equal = true;
    verdict.reason = reason;
    return verdict;
  };
  if (!g.text.empty() && squeezed(gold) == squeezed(pred)) return accept("same text");
  if (readings_equal(g, p, budget)) return accept("same value");
  const std::string words = plain_words(gold);
  if (!words.empty() && (is_wordy(g.joined, gold) || is_wordy(p.joined, pred)) &&
      !(g.joined && p.joined && is_scalar(*g.joined) && is_scalar(*p.joined)) &&
      words == plain_words(pred))
    return accept("same words");
  if (!p.joined) {
    const std::string_view formula = last_formula(pred);
    if (!formula.empty() && readings_equal(g, Reading(formula), budget))
      return accept("same value as its last formula");
  }
  if (budget.left < 0) verdict.reason = "too complex to compare";
  return verdict;
}

}  // namespace kvtoll
