// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/python_numbers.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace {

// Digits with single underscores between them, from `at`; appends them to `out`.
bool take_digits(std::string_view text, size_t& at, std::string& out) {
  const size_t begin = at;
  while (at < text.size()) {
    if (is_digit(text[at])) {
      out += text[at++];
    } else if (text[at] == '_' && at > begin && at + 1 < text.size() && is_digit(text[at + 1])) {
      ++at;
    } else {
      break;
    }
  }
  return at > begin;
}

}  // namespace

std::optional<double> python_float(std::string_view text) {
  text = trim(text);
  std::string clean;
  size_t at = 0;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) clean += text[at++];
  const std::string word = lower_ascii(text.substr(at));
  const double sign = clean == "-" ? -1.0 : 1.0;
  if (word == "inf" || word == "infinity") return sign * std::numeric_limits<double>::infinity();
  if (word == "nan") return std::numeric_limits<double>::quiet_NaN();
  bool digits = take_digits(text, at, clean);
  if (at < text.size() && text[at] == '.') {
    clean += text[at++];
    digits = take_digits(text, at, clean) || digits;
  }
  if (!digits) return std::nullopt;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    clean += text[at++];
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) clean += text[at++];
    if (!take_digits(text, at, clean)) return std::nullopt;
  }
  if (at != text.size()) return std::nullopt;
  return std::strtod(clean.c_str(), nullptr);
}

bool near_integer(double x) { return std::isfinite(x) && std::abs(x - std::round(x)) <= 1e-7; }

std::string integer_text(double x) {
  const double r = std::nearbyint(x);
  return r == 0 ? "0" : fmt::format("{:.0f}", r);
}

}  // namespace kvtoll
