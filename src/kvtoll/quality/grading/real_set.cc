// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/real_set.h"

#include <algorithm>
#include <cmath>

#include "kvtoll/quality/grading/latex_text.h"
#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace {

bool same(long double a, long double b) {
  if (std::isinf(a) || std::isinf(b)) return a == b;
  return std::abs(a - b) <= 1e-12L * std::max({1.0L, std::abs(a), std::abs(b)});
}

RealSet everything() { return {{-HUGE_VALL, HUGE_VALL, false, false}}; }

bool is_empty(const RealPiece& p) {
  if (same(p.low, p.high)) return !(p.low_closed && p.high_closed);
  return p.low > p.high;
}

// Sorted, merged, without empty pieces.
RealSet tidy(RealSet pieces) {
  std::erase_if(pieces, is_empty);
  std::sort(pieces.begin(), pieces.end(), [](const RealPiece& a, const RealPiece& b) {
    return a.low != b.low ? a.low < b.low : a.low_closed && !b.low_closed;
  });
  RealSet out;
  for (const RealPiece& p : pieces) {
    const bool touches =
        !out.empty() && (p.low < out.back().high || (same(p.low, out.back().high) &&
                                                     (p.low_closed || out.back().high_closed)));
    if (!touches) {
      out.push_back(p);
    } else if (same(p.high, out.back().high)) {
      out.back().high_closed = out.back().high_closed || p.high_closed;
    } else if (p.high > out.back().high) {
      out.back().high = p.high, out.back().high_closed = p.high_closed;
    }
  }
  return out;
}

RealSet complement(const RealSet& set) {
  RealSet out;
  RealPiece gap = everything()[0];
  for (const RealPiece& p : set) {
    gap.high = p.low, gap.high_closed = !p.low_closed && !std::isinf(p.low);
    out.push_back(gap);
    gap.low = p.high, gap.low_closed = !p.high_closed && !std::isinf(p.high);
  }
  gap.high = HUGE_VALL, gap.high_closed = false;
  out.push_back(gap);
  return tidy(std::move(out));
}

RealSet intersect(const RealSet& a, const RealSet& b) {
  RealSet out;
  for (const RealPiece& p : a)
    for (const RealPiece& q : b) {
      RealPiece r;
      const RealPiece& low = same(p.low, q.low) ? (p.low_closed ? q : p) : p.low > q.low ? p : q;
      const RealPiece& high = same(p.high, q.high) ? (p.high_closed ? q : p)
                              : p.high < q.high    ? p
                                                   : q;
      r.low = low.low, r.low_closed = low.low_closed;
      r.high = high.high, r.high_closed = high.high_closed;
      out.push_back(r);
    }
  return tidy(std::move(out));
}

class Builder {
 public:
  explicit Builder(Budget& budget) : budget_(budget) {}

  std::optional<RealSet> at(const Expr& e) {
    switch (e.kind) {
      case ExprKind::kTuple:
        return interval(e);
      case ExprKind::kSet:
        return points(e);
      case ExprKind::kVariable:
        return e.text == "set R" ? std::optional(everything()) : std::nullopt;
      case ExprKind::kText: {
        const std::string words = plain_words(e.text);
        for (std::string_view all : {"all real numbers", "all reals", "real numbers"})
          if (words == all) return everything();
        for (std::string_view none : {"no solution", "no solutions", "no real solutions",
                                      "no real solution", "empty set", "the empty set"})
          if (words == none) return RealSet{};
        return std::nullopt;
      }
      case ExprKind::kRelation:
        return relation(e);
      case ExprKind::kUnion:
      case ExprKind::kIntersection:
      case ExprKind::kDifference:
      case ExprKind::kList:
        return combine(e);
      default:
        return std::nullopt;
    }
  }

 private:
  std::optional<RealSet> interval(const Expr& e) {
    if (e.args.size() != 2) return std::nullopt;
    const auto low = real_value(e.args[0], budget_), high = real_value(e.args[1], budget_);
    if (!low || !high || *low > *high) return std::nullopt;
    return tidy({{*low, *high, e.text[0] == '[', e.text[1] == ']'}});
  }

  std::optional<RealSet> points(const Expr& e) {
    RealSet out;
    for (const Expr& arg : e.args) {
      const auto v = real_value(arg, budget_);
      if (!v || std::isinf(*v)) return std::nullopt;
      out.push_back({*v, *v, true, true});
    }
    return tidy(std::move(out));
  }

  std::optional<RealSet> combine(const Expr& e) {
    // "x = 2, y = 3" are no points of one line.
    if (e.is(ExprKind::kList) && variables_of(e).size() > 1) return std::nullopt;
    std::optional<RealSet> total;
    for (const Expr& arg : e.args) {
      if (e.is(ExprKind::kList) && !arg.is(ExprKind::kRelation)) return std::nullopt;
      auto next = at(arg);
      if (!next) return std::nullopt;
      if (!total) {
        total = std::move(next);
      } else if (e.is(ExprKind::kDifference)) {
        total = intersect(*total, complement(*next));
      } else if (e.is(ExprKind::kIntersection)) {
        total = intersect(*total, *next);
      } else {
        const RealSet both = intersect(*total, *next);
        if (e.is(ExprKind::kList) && e.text != "or" && !both.empty()) {
          total = both;  // "x > 1 and x < 3"
        } else {
          total->insert(total->end(), next->begin(), next->end());
          total = tidy(*std::move(total));
        }
      }
    }
    return total;
  }

  std::optional<RealSet> relation(const Expr& e) {
    const auto operators = split(e.text, " ");
    if (operators.size() == 1 && operators[0] == "in") return at(e.args[1]);
    RealSet total = everything();
    const auto names = variables_of(e);
    if (names.size() != 1) return std::nullopt;
    for (size_t i = 0; i < operators.size(); ++i) {
      const auto next = comparison(e.args[i], operators[i], e.args[i + 1], names[0]);
      if (!next) return std::nullopt;
      total = intersect(total, *next);
    }
    return total;
  }

  // left OP right with right - left linear in the variable.
  std::optional<RealSet> comparison(const Expr& left, std::string_view op, const Expr& right,
                                    const std::string& name) {
    if (infinite(left) || infinite(right)) return everything();  // -\infty < x
    if (!is_scalar(left) || !is_scalar(right)) return std::nullopt;
    if (is_abs(left)) return distance(left.args[0], op, right, name);
    if (is_abs(right)) return distance(right.args[0], mirrored_relation(op), left, name);
    long double at_points[4];
    for (int x = 0; x < 4; ++x) {
      long double magnitude = 0;
      const std::map<std::string, Complex> point = {{name, Complex(static_cast<long double>(x))}};
      const auto l = evaluate_numeric(left, point, {}, budget_, magnitude);
      const auto r = evaluate_numeric(right, point, {}, budget_, magnitude);
      if (!l || !r || l->imag() != 0 || r->imag() != 0) return std::nullopt;
      at_points[x] = r->real() - l->real();
    }
    const long double slope = at_points[1] - at_points[0];
    const long double scale = std::max(std::abs(at_points[0]), std::abs(slope)) * 1e-14L;
    if (std::abs(slope) <= scale) return std::nullopt;
    for (int x = 2; x < 4; ++x)
      if (std::abs(at_points[x] - at_points[0] - slope * x) > 8 * scale) return std::nullopt;
    const long double root = -at_points[0] / slope;
    const bool closed = op.ends_with('='), greater = op.starts_with('>');
    if (op == "!=") return complement({{root, root, true, true}});
    if (op == "=") return RealSet{{root, root, true, true}};
    if (op != "<" && op != "<=" && op != ">" && op != ">=") return std::nullopt;
    if ((slope > 0) != greater) return RealSet{{root, HUGE_VALL, closed, false}};
    return RealSet{{-HUGE_VALL, root, false, closed}};
  }

  static bool is_abs(const Expr& e) { return e.is(ExprKind::kFunction) && e.text == "abs"; }

  // |inner| OP bound, the bound a number that is not negative.
  std::optional<RealSet> distance(const Expr& inner, std::string_view op, const Expr& bound,
                                  const std::string& name) {
    const auto value = variables_of(bound).empty() ? real_value(bound, budget_) : std::nullopt;
    if (!value || *value < 0) return std::nullopt;
    const auto above = comparison(inner, op, bound, name);
    const auto below =
        comparison(inner, mirrored_relation(op), make_node(ExprKind::kNegate, {bound}), name);
    if (!above || !below) return std::nullopt;
    if (op.starts_with('<') || op == "!=") return intersect(*above, *below);
    RealSet both = *above;
    both.insert(both.end(), below->begin(), below->end());
    return tidy(std::move(both));
  }

  bool infinite(const Expr& e) {
    const auto v = real_value(e, budget_);
    return v && std::isinf(*v);
  }

  Budget& budget_;
};

}  // namespace

std::optional<RealSet> real_set(const Expr& expr, Budget& budget) {
  return Builder(budget).at(expr);
}

bool real_sets_equal(const RealSet& a, const RealSet& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const RealPiece& p, const RealPiece& q) {
                      return same(p.low, q.low) && same(p.high, q.high) &&
                             p.low_closed == q.low_closed && p.high_closed == q.high_closed;
                    });
}

}  // namespace kvtoll
