// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/latex_number.h"

#include <array>

#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace {

constexpr size_t kMaxDigits = 300;

// Length of a thousands separator at the front of text, 0 if there is none. Bare commas and spaces
// are ambiguous; the others are not.
size_t separator_length(std::string_view text, bool join) {
  if (text.starts_with(",\\!")) {
    size_t n = 3;
    while (n < text.size() && text[n] == ' ') ++n;
    return n;
  }
  for (std::string_view sure : {"{,}", "{,}\\!", "\\,", "\\ ", "\\;"})
    if (text.starts_with(sure)) return sure.size();
  if (join && text.starts_with(",")) return 1;
  return text.starts_with(" ") ? 1 : 0;
}

size_t count_digits(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && is_digit(text[n])) ++n;
  return n;
}

// The integer part with its groups; `digits` without separators. Returns bytes read.
size_t read_groups(std::string_view text, bool join, std::string& digits) {
  size_t at = count_digits(text);
  digits = std::string(text.substr(0, at));
  if (at == 0 || at > 3) return at;
  size_t end = at;
  std::string joined = digits;
  while (true) {
    const std::string_view rest = text.substr(end);
    const size_t separator = separator_length(rest, join);
    if (separator == 0 || count_digits(rest.substr(separator)) != 3) break;
    joined += rest.substr(separator, 3);
    end += separator + 3;
  }
  if (end == at || digits[0] == '0') return at;
  digits = joined;
  return end;
}

Rational power_of_ten(int n) {
  const Integer p = boost::multiprecision::pow(Integer(10), static_cast<unsigned>(n < 0 ? -n : n));
  return n < 0 ? Rational(Integer(1), p) : Rational(p);
}

Integer parse_integer(std::string_view digits, int base = 10) {
  Integer value = 0;
  for (char c : digits) {
    const int d = is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
    value = value * base + d;
  }
  return value;
}

// The repeating part of 0.1\overline{6} (also \bar, \dot-less): its digits, and the bytes read.
std::string_view repeating_part(std::string_view text, size_t& length) {
  for (std::string_view command : {"\\overline{", "\\bar{"})
    if (text.starts_with(command)) {
      const size_t n = count_digits(text.substr(command.size()));
      if (n == 0 || n > kMaxDigits || text.substr(command.size() + n).substr(0, 1) != "}") continue;
      length = command.size() + n + 1;
      return text.substr(command.size(), n);
    }
  return {};
}

// Exponent of 1.5e-3 (no spaces): its value, and the bytes read; 0 bytes if there is none.
int exponent_part(std::string_view text, size_t& length) {
  length = 0;
  if (!text.starts_with('e') && !text.starts_with('E')) return 0;
  const bool sign = text.size() > 1 && (text[1] == '-' || text[1] == '+');
  const size_t n = count_digits(text.substr(sign ? 2 : 1));
  if (n == 0 || n > 3) return 0;
  length = 1 + (sign ? 1 : 0) + n;
  int value = 0;
  for (char c : text.substr(length - n, n)) value = value * 10 + (c - '0');
  return sign && text[1] == '-' ? -value : value;
}

std::optional<int> base_name(std::string_view text) {
  text = trim(text);
  for (std::string_view command : {"\\text", "\\mathrm", "\\mbox", "\\textrm"})
    if (text.starts_with(command)) {
      const size_t open = command.size();
      if (open >= text.size() || text[open] != '{' || text.back() != '}') return std::nullopt;
      text = trim(text.substr(open + 1, text.size() - open - 2));
      break;
    }
  constexpr std::array<std::string_view, 17> kNames = {
      "",     "",    "two",    "three",  "four",     "five",     "six",     "seven",  "eight",
      "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"};
  for (size_t i = 2; i < kNames.size(); ++i)
    if (text == kNames[i]) return static_cast<int>(i);
  if (text.empty() || text.size() > 2 || count_digits(text) != text.size()) return std::nullopt;
  const int base = text.size() == 1 ? text[0] - '0' : (text[0] - '0') * 10 + text[1] - '0';
  return base >= 2 && base <= 36 ? std::optional(base) : std::nullopt;
}

bool digits_fit(std::string_view digits, int base) {
  for (char c : digits) {
    const int d = is_digit(c) ? c - '0' : is_letter(c) ? (c | 0x20) - 'a' + 10 : 99;
    if (d >= base) return false;
  }
  return true;
}

}  // namespace

std::optional<NumberText> read_based_number(std::string_view text) {
  size_t n = 0;
  while (n < text.size() && (is_digit(text[n]) || is_letter(text[n]))) ++n;
  const std::string_view digits = text.substr(0, n);
  if (n == 0 || n > kMaxDigits) return std::nullopt;
  std::string_view rest = text.substr(n);
  size_t spaces = 0;
  while (spaces < rest.size() && rest[spaces] == ' ') ++spaces;
  rest.remove_prefix(spaces);
  if (rest.size() < 2 || rest[0] != '_') return std::nullopt;
  size_t end;
  std::optional<int> base;
  if (rest[1] == '{') {
    const size_t close = matching_brace(rest, 1);
    if (close == rest.npos) return std::nullopt;
    base = base_name(rest.substr(2, close - 2));
    end = close + 1;
  } else {
    end = 1 + count_digits(rest.substr(1));
    base = base_name(rest.substr(1, end - 1));
  }
  const bool any_digit = digits.find_first_of("0123456789") != digits.npos;
  if (!base || !digits_fit(digits, *base) || (!any_digit && *base != 16)) return std::nullopt;
  return NumberText{Rational(parse_integer(digits, *base)), -1, n + spaces + end};
}

Result<NumberText> read_number(std::string_view text, bool join) {
  if (const auto based = read_based_number(text)) return *based;
  NumberText number;
  std::string digits;
  number.length = read_groups(text, join, digits);
  if (digits.size() > kMaxDigits) return input_error("a number of {} digits", digits.size());
  number.value = Rational(parse_integer(digits));
  std::string_view rest = text.substr(number.length);
  if (rest.size() > 1 && rest[0] == '.' && (is_digit(rest[1]) || rest[1] == '\\')) {
    const size_t n = count_digits(rest.substr(1));
    if (n > kMaxDigits) return input_error("a number of {} decimals", n);
    number.value += Rational(parse_integer(rest.substr(1, n))) * power_of_ten(-static_cast<int>(n));
    number.decimals = static_cast<int>(n);
    size_t repeat_length = 0;
    const std::string_view repeat = repeating_part(rest.substr(1 + n), repeat_length);
    if (!repeat.empty()) {
      const Integer nines = boost::multiprecision::pow(Integer(10), unsigned(repeat.size())) - 1;
      number.value += Rational(parse_integer(repeat), nines) * power_of_ten(-static_cast<int>(n));
      number.decimals = -1;
    } else if (n == 0) {
      number.decimals = -1;
      return number;
    }
    number.length += 1 + n + repeat_length;
  }
  size_t exponent_length = 0;
  const int exponent = exponent_part(text.substr(number.length), exponent_length);
  if (exponent_length > 0) {
    if (exponent > 300 || exponent < -300) return input_error("the exponent {}", exponent);
    number.value *= power_of_ten(exponent);
    number.length += exponent_length;
  }
  return number;
}

}  // namespace kvtoll
