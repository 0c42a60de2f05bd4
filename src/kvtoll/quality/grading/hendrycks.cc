// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/hendrycks.h"

#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace {

// "\\frac12" and "\\frac1{72}" get their braces; "\\frac{72}1" does not (as in the original).
std::optional<std::string> brace_fractions(const std::string& text) {
  const auto parts = split(text, "\\frac");
  std::string out(parts[0]);
  for (size_t i = 1; i < parts.size(); ++i) {
    std::string_view part = parts[i];
    out += "\\frac";
    if (part.empty()) return std::nullopt;
    if (part[0] == '{') {
      out += part;
      continue;
    }
    if (utf8_count(part) < 2) return text;
    const std::string_view a = part.substr(0, utf8_length(part));
    part.remove_prefix(a.size());
    const std::string_view b = part.substr(0, utf8_length(part));
    part.remove_prefix(b.size());
    out.append("{").append(a).append("}");
    if (b == "{")
      out.append(b);
    else
      out.append("{").append(b).append("}");
    out += part;
  }
  return out;
}

std::optional<std::string> brace_square_roots(const std::string& text) {
  const auto parts = split(text, "\\sqrt");
  std::string out(parts[0]);
  for (size_t i = 1; i < parts.size(); ++i) {
    std::string_view part = parts[i];
    if (part.empty()) return std::nullopt;
    out += "\\sqrt";
    if (part[0] != '{') {
      const size_t n = utf8_length(part);
      out.append("{").append(part.substr(0, n)).append("}");
      part.remove_prefix(n);
    }
    out += part;
  }
  return out;
}

// What int() reads and str() writes back unchanged.
bool canonical_integer(std::string_view text) {
  const std::string_view digits = text.substr(text.starts_with('-') ? 1 : 0);
  if (digits.empty() || (digits[0] == '0' && (digits.size() > 1 || text.size() > 1))) return false;
  for (char c : digits)
    if (!is_digit(c)) return false;
  return true;
}

std::string simple_fraction(const std::string& text) {
  const auto parts = split(text, "/");
  if (parts.size() != 2 || !canonical_integer(parts[0]) || !canonical_integer(parts[1]))
    return text;
  return "\\frac{" + std::string(parts[0]) + "}{" + std::string(parts[1]) + "}";
}

}  // namespace

std::optional<std::string> hendrycks_normal_form(std::string_view answer) {
  std::string s(answer);
  for (std::string_view gone : {"\n", "\\!"}) replace_all(s, gone, "");
  replace_all(s, "\\\\", "\\");
  for (std::string_view variant : {"tfrac", "dfrac"}) replace_all(s, variant, "frac");
  for (std::string_view gone : {"\\left", "\\right", "^{\\circ}", "^\\circ", "\\$"})
    replace_all(s, gone, "");
  const auto before_unit = split(s, "\\text{ ");
  if (before_unit.size() > 2) return std::nullopt;
  s = std::string(before_unit[0]);
  replace_all(s, "\\%", "");
  replace_all(s, " .", " 0.");
  replace_all(s, "{.", "{0.");
  if (s.empty()) return s;
  if (s[0] == '.') s.insert(0, "0");
  const auto sides = split(s, "=");
  if (sides.size() == 2 && utf8_count(sides[0]) <= 2) s = std::string(sides[1]);
  auto rooted = brace_square_roots(s);
  if (!rooted) return std::nullopt;
  s = *std::move(rooted);
  replace_all(s, " ", "");
  auto braced = brace_fractions(s);
  if (!braced) return std::nullopt;
  s = *std::move(braced);
  if (s == "0.5") s = "\\frac{1}{2}";
  return simple_fraction(s);
}

bool hendrycks_equal(std::string_view a, std::string_view b) {
  const auto na = hendrycks_normal_form(a), nb = hendrycks_normal_form(b);
  return na && nb ? *na == *nb : a == b;
}

}  // namespace kvtoll
