// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/evaluate.h"

namespace kvtoll {
namespace {

constexpr size_t kMaxBits = 2048;
constexpr int kExactCost = 8;  // an exact operation against a floating-point one
constexpr int kMaxExponent = 400;

size_t bits(const Integer& n) { return n == 0 ? 0 : boost::multiprecision::msb(abs(n)) + 1; }
bool fits(const Rational& r) {
  return bits(numerator(r)) <= kMaxBits && bits(denominator(r)) <= kMaxBits;
}

using Value = std::optional<ExactComplex>;

Value checked(ExactComplex v) {
  return fits(v.re) && fits(v.im) ? Value(std::move(v)) : std::nullopt;
}
Value multiply(const ExactComplex& a, const ExactComplex& b) {
  return checked({a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re});
}
Value divide(const ExactComplex& a, const ExactComplex& b) {
  const Rational norm = b.re * b.re + b.im * b.im;
  if (norm == 0 || !fits(norm)) return std::nullopt;
  return checked({(a.re * b.re + a.im * b.im) / norm, (a.im * b.re - a.re * b.im) / norm});
}

class Evaluator {
 public:
  Evaluator(const std::map<std::string, Rational>& point, const Conventions& conventions,
            Budget& budget)
      : point_(point), conventions_(conventions), budget_(budget) {}

  Value at(const Expr& e) {
    if (!budget_.spend(kExactCost)) return std::nullopt;
    switch (e.kind) {
      case ExprKind::kNumber:
        return checked({e.value, 0});
      case ExprKind::kConstant:
        if (conventions_.letters_are_free && e.text != "pi") return variable(e.text);
        return e.text == "i" ? Value(ExactComplex{0, 1}) : std::nullopt;
      case ExprKind::kVariable:
        return variable(e.text);
      case ExprKind::kNegate: {
        Value v = at(e.args[0]);
        return v ? Value(ExactComplex{-v->re, -v->im}) : v;
      }
      case ExprKind::kDegree:
        return at(e.args[0]);
      case ExprKind::kAdd:
      case ExprKind::kMultiply:
        return fold(e);
      case ExprKind::kDivide: {
        const Value a = at(e.args[0]), b = a ? at(e.args[1]) : a;
        return a && b ? divide(*a, *b) : std::nullopt;
      }
      case ExprKind::kPower:
        return power(e);
      case ExprKind::kFunction:
        return function(e);
      default:
        return std::nullopt;
    }
  }

 private:
  Value variable(const std::string& name) const {
    const auto it = point_.find(name);
    return it == point_.end() ? std::nullopt : Value(ExactComplex{it->second, 0});
  }

  Value fold(const Expr& e) {
    Value total = at(e.args[0]);
    for (size_t i = 1; total && i < e.args.size(); ++i) {
      const Value next = at(e.args[i]);
      if (!next) return std::nullopt;
      total = e.is(ExprKind::kAdd) ? checked({total->re + next->re, total->im + next->im})
                                   : multiply(*total, *next);
    }
    return total;
  }

  Value power(const Expr& e) {
    const Value exponent = at(e.args[1]);
    if (!exponent || exponent->im != 0 || denominator(exponent->re) != 1) return std::nullopt;
    if (abs(exponent->re) > kMaxExponent) return std::nullopt;
    const Value base = at(e.args[0]);
    if (!base) return std::nullopt;
    const int n = static_cast<int>(numerator(exponent->re));
    Value result = ExactComplex{1, 0};
    for (int i = 0; result && i < std::abs(n); ++i) {
      if (!budget_.spend(kExactCost)) return std::nullopt;
      result = multiply(*result, *base);
    }
    return result && n < 0 ? divide({1, 0}, *result) : result;
  }

  Value function(const Expr& e) {
    const Value x = at(e.args[0]);
    if (!x || x->im != 0) return std::nullopt;
    if (e.text == "abs") return ExactComplex{abs(x->re), 0};
    if (e.text == "factorial") return factorial(x->re);
    if (e.text == "root" && e.args.size() == 1) return square_root(x->re);
    if (e.text == "binomial") {
      const Value k = at(e.args[1]);
      return k && k->im == 0 ? binomial(x->re, k->re) : std::nullopt;
    }
    return of_integers(e, x->re);
  }

  // gcd and lcm of whole numbers.
  Value of_integers(const Expr& e, const Rational& first) {
    if ((e.text != "gcd" && e.text != "lcm") || denominator(first) != 1) return std::nullopt;
    Integer total = numerator(first);
    for (size_t i = 1; i < e.args.size(); ++i) {
      const Value next = at(e.args[i]);
      if (!next || next->im != 0 || denominator(next->re) != 1) return std::nullopt;
      const Integer n = numerator(next->re);
      total = e.text == "gcd" ? Integer(gcd(total, n)) : Integer(lcm(total, n));
    }
    return checked({Rational(total), 0});
  }

  static Value square_root(const Rational& x) {
    if (x < 0) return std::nullopt;
    const Integer n = numerator(x), d = denominator(x);
    const Integer rn = sqrt(n), rd = sqrt(d);
    if (rn * rn != n || rd * rd != d) return std::nullopt;
    return ExactComplex{Rational(rn, rd), 0};
  }

  static Value factorial(const Rational& x) {
    if (denominator(x) != 1 || x < 0 || x > 200) return std::nullopt;
    Integer product = 1;
    for (int i = 2; i <= static_cast<int>(numerator(x)); ++i) product *= i;
    return checked({Rational(product), 0});
  }

  static Value binomial(const Rational& n, const Rational& k) {
    if (denominator(n) != 1 || denominator(k) != 1 || k < 0 || n < k || n > 400)
      return std::nullopt;
    Integer result = 1;
    for (int i = 1; i <= static_cast<int>(numerator(k)); ++i)
      result = result * (numerator(n) - numerator(k) + i) / i;
    return checked({Rational(result), 0});
  }

  const std::map<std::string, Rational>& point_;
  const Conventions& conventions_;
  Budget& budget_;
};

}  // namespace

std::optional<ExactComplex> evaluate_exact(const Expr& expr,
                                           const std::map<std::string, Rational>& point,
                                           const Conventions& conventions, Budget& budget) {
  return Evaluator(point, conventions, budget).at(expr);
}

}  // namespace kvtoll
