// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/scalar_compare.h"

#include <algorithm>
#include <cmath>

#include "kvtoll/core/rng.h"
#include "kvtoll/core/text_hash.h"

namespace kvtoll {
namespace {

constexpr int kExactPoints = 3;  // agreement at so many points is an identity, by Schwartz-Zippel
constexpr int kNumericPoints = 5;
constexpr int kAttempts = 14;  // points may fall on poles or outside domains
constexpr int kSignificantDigits = 6;

std::vector<std::string> all_variables(const Expr& a, const Expr& b, const Conventions& how) {
  std::vector<std::string> names = variables_of(a);
  for (std::string& name : variables_of(b)) names.push_back(std::move(name));
  if (how.letters_are_free) names.insert(names.end(), {"e", "i"});
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

uint64_t bits_for(const std::string& name, int attempt) {
  return random_bits(fnv1a(name), 17, static_cast<uint64_t>(attempt));
}

// Positive at even attempts: where roots and logarithms of letters are real.
Rational random_rational(const std::string& name, int attempt) {
  const uint64_t r = bits_for(name, attempt);
  const Rational value(Integer(3 + r % 89), Integer(1 + (r >> 32) % 11));
  return attempt % 2 == 0 ? value : Rational(-value);
}

Complex random_real(const std::string& name, int attempt) {
  const long double u = static_cast<long double>(bits_for(name, attempt) >> 11) * 0x1.0p-53L;
  const long double value = 0.15L + 2.6L * u;
  return attempt % 3 == 2 ? -value : value;
}

std::map<std::string, Complex> random_point(const std::vector<std::string>& names, int attempt) {
  std::map<std::string, Complex> point;
  for (const std::string& name : names) point[name] = random_real(name, attempt);
  return point;
}

bool near(Complex a, Complex b, long double magnitude, bool constant) {
  const long double size = std::max(std::abs(a), std::abs(b));
  const long double tolerance =
      constant ? 1e-14L * size + 1e-17L * magnitude : 1e-11L * size + 1e-15L * magnitude;
  return std::abs(a - b) <= tolerance;
}

// Whether 1/d needs no more than a finite decimal.
bool terminates(Integer d) {
  for (int p : {2, 5})
    while (d % p == 0) d /= p;
  return d == 1;
}

// `literal` a decimal with k digits behind the point: within one unit of its last digit (rounded or
// cut off), and long enough.
bool rounds_to(const Expr& literal, long double value) {
  if (!literal.is(ExprKind::kNumber) || literal.decimals < 1) return false;
  const Rational scaled = literal.value * Rational(pow(Integer(10), unsigned(literal.decimals)));
  const Integer magnitude = abs(numerator(scaled));
  if (magnitude.str().size() < kSignificantDigits) return false;
  const long double unit = std::pow(10.0L, -literal.decimals);
  const auto written = static_cast<long double>(literal.value);
  return std::abs(written - value) <= std::max(unit, 1e-15L * std::abs(value));
}

bool approximates(const Expr& a, const Expr& b, const ExactComplex& va, const ExactComplex& vb) {
  if (va.im != 0 || vb.im != 0) return false;
  if (!terminates(denominator(vb.re)) && rounds_to(a, static_cast<long double>(vb.re))) return true;
  return !terminates(denominator(va.re)) && rounds_to(b, static_cast<long double>(va.re));
}

enum class Verdict { kEqual, kDifferent, kUnknown };

Verdict compare_exact(const Expr& a, const Expr& b, const std::vector<std::string>& names,
                      const Conventions& how, Budget& budget) {
  int agreed = 0;
  for (int attempt = 0; attempt < 2 * kExactPoints; ++attempt) {
    std::map<std::string, Rational> point;
    for (const std::string& name : names) point[name] = random_rational(name, attempt);
    const auto va = evaluate_exact(a, point, how, budget);
    const auto vb = evaluate_exact(b, point, how, budget);
    if (va && vb) {
      if (*va != *vb)
        return names.empty() && approximates(a, b, *va, *vb) ? Verdict::kEqual
                                                             : Verdict::kDifferent;
      if (names.empty() || ++agreed == kExactPoints) return Verdict::kEqual;
    } else if (names.empty()) {
      break;
    }
  }
  return Verdict::kUnknown;
}

bool compare_numeric(const Expr& a, const Expr& b, const std::vector<std::string>& names,
                     const Conventions& how, Budget& budget) {
  int real = 0, complex = 0, complex_agree = 0;
  for (int attempt = 0; attempt < kAttempts && real < kNumericPoints; ++attempt) {
    const auto point = random_point(names, attempt);
    long double magnitude = 0;
    const auto va = evaluate_numeric(a, point, how, budget, magnitude);
    const auto vb = evaluate_numeric(b, point, how, budget, magnitude);
    if (!va || !vb) {
      if (names.empty()) return false;
      continue;
    }
    const bool agree = near(*va, *vb, magnitude, names.empty());
    if (names.empty()) return agree || rounds_to(a, vb->real()) || rounds_to(b, va->real());
    const long double noise = 1e-12L * magnitude;
    if (std::abs(va->imag()) > noise || std::abs(vb->imag()) > noise) {
      ++complex, complex_agree += agree;  // a branch cut, or a number that is complex everywhere
      continue;
    }
    if (!agree) return false;
    ++real;
  }
  return real >= 3 || (complex >= 3 && complex_agree == complex);
}

// Zeros of e in `name`, the other variables fixed by `point`, from complex starts.
std::vector<Complex> find_zeros(const Expr& e, const std::string& name,
                                std::map<std::string, Complex> point, Budget& budget) {
  std::vector<Complex> zeros;
  auto at = [&](Complex x) {
    point[name] = x;
    long double magnitude = 0;
    return evaluate_numeric(e, point, {}, budget, magnitude);
  };
  for (int start = 0; start < 8; ++start) {
    Complex x =
        2.0L * random_real(name, 40 + start) + Complex(0, 1) * random_real(name, 60 + start);
    for (int i = 0; i < 60; ++i) {
      const Complex h = 1e-7L * (1.0L + std::abs(x));
      const auto f = at(x), above = at(x + h), below = at(x - h);
      if (!f || !above || !below || *above == *below) break;
      const Complex step = *f * (2.0L * h) / (*above - *below);
      x -= step;
      if (std::abs(step) > 1e-15L * (1.0L + std::abs(x))) continue;
      zeros.push_back(x);
      break;
    }
  }
  return zeros;
}

bool zeros_vanish(const Expr& a, const Expr& b, const std::vector<std::string>& names,
                  Budget& budget) {
  int found = 0;
  for (const std::string& name : names) {
    const auto point = random_point(names, 90);
    for (Complex zero : find_zeros(a, name, point, budget)) {
      auto there = point;
      there[name] = zero;
      long double magnitude = 1;
      const auto value = evaluate_numeric(b, there, {}, budget, magnitude);
      if (!value || std::abs(*value) > 1e-9L * magnitude) return false;
      ++found;
    }
  }
  return found >= 4;
}

}  // namespace

bool same_zeros(const Expr& a, const Expr& b, Budget& budget) {
  const auto names = variables_of(a);
  if (names.empty() || names != variables_of(b)) return false;
  return zeros_vanish(a, b, names, budget) && zeros_vanish(b, a, names, budget);
}

bool scalars_equal(const Expr& a, const Expr& b, const Conventions& conventions, Budget& budget) {
  const auto names = all_variables(a, b, conventions);
  switch (compare_exact(a, b, names, conventions, budget)) {
    case Verdict::kEqual:
      return true;
    case Verdict::kDifferent:
      return false;
    case Verdict::kUnknown:
      break;
  }
  if (compare_numeric(a, b, names, conventions, budget)) return true;
  if (conventions.log_is_natural) return false;
  Conventions natural = conventions;  // \log against \ln: either reading may be meant
  natural.log_is_natural = true;
  return compare_numeric(a, b, names, natural, budget);
}

std::optional<Complex> constant_ratio(const Expr& a, const Expr& b, Budget& budget) {
  const auto names = all_variables(a, b, {});
  std::optional<Complex> ratio;
  int agreed = 0;
  for (int attempt = 0; attempt < kAttempts && agreed < kNumericPoints; ++attempt) {
    const auto point = random_point(names, attempt);
    long double magnitude = 0;
    const auto va = evaluate_numeric(a, point, {}, budget, magnitude);
    const auto vb = evaluate_numeric(b, point, {}, budget, magnitude);
    if (!va || !vb) continue;
    const long double zero = 1e-15L * magnitude;
    if (std::abs(*va) <= zero || std::abs(*vb) <= zero) return std::nullopt;
    const Complex here = *va / *vb;
    if (ratio && std::abs(here - *ratio) > 1e-10L * std::abs(*ratio)) return std::nullopt;
    ratio = here;
    ++agreed;
  }
  return agreed >= 3 ? ratio : std::nullopt;
}

}  // namespace kvtoll
