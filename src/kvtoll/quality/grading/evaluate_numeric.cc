// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cmath>
#include <numbers>

#include "kvtoll/quality/grading/evaluate.h"

namespace kvtoll {
namespace {

using Value = std::optional<Complex>;
constexpr long double kPi = std::numbers::pi_v<long double>;

long double to_long_double(const Rational& r) {
  // Scaled so that neither part overflows: numbers of up to 300 digits occur.
  return static_cast<long double>(r);
}

Complex reciprocal(Complex z) { return Complex(1) / z; }

using Function = Complex (*)(Complex);
struct Named {
  std::string_view name;
  Function function;
};
constexpr std::array kFunctions = {
    Named{"sin", [](Complex z) { return std::sin(z); }},
    Named{"cos", [](Complex z) { return std::cos(z); }},
    Named{"tan", [](Complex z) { return std::sin(z) / std::cos(z); }},
    Named{"cot", [](Complex z) { return std::cos(z) / std::sin(z); }},
    Named{"sec", [](Complex z) { return reciprocal(std::cos(z)); }},
    Named{"csc", [](Complex z) { return reciprocal(std::sin(z)); }},
    Named{"arcsin", [](Complex z) { return std::asin(z); }},
    Named{"arccos", [](Complex z) { return std::acos(z); }},
    Named{"arctan", [](Complex z) { return std::atan(z); }},
    Named{"asin", [](Complex z) { return std::asin(z); }},
    Named{"acos", [](Complex z) { return std::acos(z); }},
    Named{"atan", [](Complex z) { return std::atan(z); }},
    Named{"arccot", [](Complex z) { return std::atan(reciprocal(z)); }},
    Named{"arcsec", [](Complex z) { return std::acos(reciprocal(z)); }},
    Named{"arccsc", [](Complex z) { return std::asin(reciprocal(z)); }},
    Named{"sinh", [](Complex z) { return std::sinh(z); }},
    Named{"cosh", [](Complex z) { return std::cosh(z); }},
    Named{"tanh", [](Complex z) { return std::tanh(z); }},
    Named{"ln", [](Complex z) { return std::log(z); }},
    Named{"lg", [](Complex z) { return std::log(z) / std::numbers::ln10_v<long double>; }},
    Named{"exp", [](Complex z) { return std::exp(z); }},
    Named{"abs", [](Complex z) { return Complex(std::abs(z)); }},
    Named{"floor", [](Complex z) { return Complex(std::floor(z.real())); }},
    Named{"ceil", [](Complex z) { return Complex(std::ceil(z.real())); }},
    Named{"cbrt", [](Complex z) { return std::pow(z, Complex(1.0L / 3)); }},
    Named{"factorial", [](Complex z) { return Complex(std::tgamma(z.real() + 1)); }},
    Named{"arg", [](Complex z) { return Complex(std::arg(z)); }},
};

bool takes_angle(std::string_view name) {
  return name == "sin" || name == "cos" || name == "tan" || name == "cot" || name == "sec" ||
         name == "csc";
}

class Evaluator {
 public:
  Evaluator(const std::map<std::string, Complex>& point, const Conventions& conventions,
            Budget& budget, long double& magnitude)
      : point_(point), conventions_(conventions), budget_(budget), magnitude_(magnitude) {}

  Value at(const Expr& e) {
    if (!budget_.spend(1)) return std::nullopt;
    Value v = raw(e);
    if (!v || !std::isfinite(v->real()) || !std::isfinite(v->imag())) return std::nullopt;
    magnitude_ = std::max(magnitude_, std::abs(*v));
    return v;
  }

 private:
  Value raw(const Expr& e) {
    switch (e.kind) {
      case ExprKind::kNumber:
        return Complex(to_long_double(e.value));
      case ExprKind::kConstant:
        if (e.text == "pi") return Complex(kPi);
        if (conventions_.letters_are_free) return variable(e.text);
        return e.text == "i" ? Complex(0, 1) : Complex(std::numbers::e_v<long double>);
      case ExprKind::kVariable:
        return variable(e.text);
      case ExprKind::kNegate: {
        const Value v = at(e.args[0]);
        return v ? Value(-*v) : v;
      }
      case ExprKind::kDegree: {
        const Value v = at(e.args[0]);
        return v && in_angle_ ? Value(*v * (kPi / 180)) : v;
      }
      case ExprKind::kAdd:
      case ExprKind::kMultiply:
        return fold(e);
      case ExprKind::kDivide: {
        const Value a = at(e.args[0]), b = a ? at(e.args[1]) : a;
        return a && b && *b != Complex(0) ? Value(*a / *b) : std::nullopt;
      }
      case ExprKind::kPower:
        return power(e);
      case ExprKind::kFunction:
        return function(e);
      default:
        return std::nullopt;
    }
  }

  Value variable(const std::string& name) const {
    const auto it = point_.find(name);
    return it == point_.end() ? std::nullopt : Value(it->second);
  }

  Value fold(const Expr& e) {
    Value total = at(e.args[0]);
    for (size_t i = 1; total && i < e.args.size(); ++i) {
      const Value next = at(e.args[i]);
      if (!next) return std::nullopt;
      total = e.is(ExprKind::kAdd) ? *total + *next : *total * *next;
    }
    return total;
  }

  Value power(const Expr& e) {
    const Value base = at(e.args[0]), exponent = base ? at(e.args[1]) : base;
    if (!base || !exponent) return std::nullopt;
    if (*base == Complex(0)) return exponent->real() > 0 ? Value(Complex(0)) : std::nullopt;
    const long double n = exponent->real();
    if (exponent->imag() == 0 && n == std::round(n) && std::abs(n) <= 64) {
      Complex product(1);
      for (int i = 0; i < static_cast<int>(std::abs(n)); ++i) product *= *base;
      return n < 0 ? reciprocal(product) : product;
    }
    if (base->imag() == 0 && exponent->imag() == 0 && base->real() > 0)
      return Complex(std::pow(base->real(), n));
    return std::pow(*base, *exponent);
  }

  Value function(const Expr& e) {
    const bool outer = in_angle_;
    in_angle_ = takes_angle(e.text);
    const Value x = at(e.args[0]);
    in_angle_ = outer;
    if (!x) return x;
    if (e.args.size() == 2) {
      const Value y = at(e.args[1]);
      return y ? binary(e.text, *x, *y) : y;
    }
    if (e.text == "root")
      return x->imag() == 0 && x->real() >= 0 ? Complex(std::sqrt(x->real())) : std::sqrt(*x);
    if (e.text == "log")
      return std::log(*x) / (conventions_.log_is_natural ? 1 : std::numbers::ln10_v<long double>);
    for (const Named& f : kFunctions)
      if (f.name == e.text) return f.function(*x);
    return std::nullopt;
  }

  Value binary(const std::string& name, Complex x, Complex y) {
    if (name == "root") {
      const bool odd = y.imag() == 0 && std::fmod(std::abs(y.real()), 2.0L) == 1.0L;
      if (odd && x.imag() == 0 && x.real() < 0)
        return Complex(-std::pow(-x.real(), 1 / y.real()));  // the real root
      return x == Complex(0) ? Complex(0) : std::pow(x, reciprocal(y));
    }
    if (name == "log") return std::log(x) / std::log(y);
    if (name == "binomial")
      return Complex(std::tgamma(x.real() + 1) / std::tgamma(y.real() + 1) /
                     std::tgamma(x.real() - y.real() + 1));
    if (name == "max") return Complex(std::max(x.real(), y.real()));
    if (name == "min") return Complex(std::min(x.real(), y.real()));
    return std::nullopt;
  }

  const std::map<std::string, Complex>& point_;
  const Conventions& conventions_;
  Budget& budget_;
  long double& magnitude_;
  bool in_angle_ = false;
};

}  // namespace

std::optional<Complex> evaluate_numeric(const Expr& expr,
                                        const std::map<std::string, Complex>& point,
                                        const Conventions& conventions, Budget& budget,
                                        long double& magnitude) {
  return Evaluator(point, conventions, budget, magnitude).at(expr);
}

std::optional<long double> real_value(const Expr& expr, Budget& budget) {
  if (expr.is(ExprKind::kInfinity)) return HUGE_VALL;
  if (expr.is(ExprKind::kNegate) && expr.args[0].is(ExprKind::kInfinity)) return -HUGE_VALL;
  long double magnitude = 0;
  const Value v = evaluate_numeric(expr, {}, {}, budget, magnitude);
  if (!v || std::abs(v->imag()) > 1e-15L * std::max(1.0L, magnitude)) return std::nullopt;
  return v->real();
}

bool is_scalar(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kNumber:
    case ExprKind::kVariable:
    case ExprKind::kConstant:
      return true;
    case ExprKind::kAdd:
    case ExprKind::kMultiply:
    case ExprKind::kDivide:
    case ExprKind::kPower:
    case ExprKind::kNegate:
    case ExprKind::kFunction:
    case ExprKind::kDegree:
      for (const Expr& arg : expr.args)
        if (!is_scalar(arg)) return false;
      return true;
    default:
      return false;
  }
}

}  // namespace kvtoll
