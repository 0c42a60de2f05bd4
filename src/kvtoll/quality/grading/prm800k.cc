// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/prm800k.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

#include "kvtoll/quality/grading/evaluate.h"
#include "kvtoll/quality/grading/hendrycks.h"
#include "kvtoll/quality/grading/latex_parser.h"
#include "kvtoll/quality/grading/latex_plain.h"
#include "kvtoll/quality/grading/python_numbers.h"
#include "kvtoll/quality/grading/scalar_compare.h"
#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace {

// The content of an answer that is \text{...} as a whole.
std::string without_enclosing_text(const std::string& s) {
  constexpr std::string_view kOpen = "\\text{";
  if (!s.starts_with(kOpen) || !s.ends_with('}') || s.size() < kOpen.size() + 2) return s;
  const std::string inner = s.substr(kOpen.size(), s.size() - kOpen.size() - 1);
  return inner.find('\n') == inner.npos ? inner : s;
}

// "unit", "units", "unites", with an optional power: "cm^2".
void drop_unit(std::string& s, std::string_view unit) {
  std::string out;
  size_t begin = 0;
  for (size_t at; (at = s.find(unit, begin)) != s.npos;) {
    out.append(s, begin, at - begin);
    at += unit.size();
    if (s.compare(at, 2, "es") == 0) at += 2;
    if (s.compare(at, 1, "s") == 0) at += 1;
    while (at < s.size() && s[at] == ' ') ++at;
    if (at + 1 < s.size() && s[at] == '^' && is_digit(s[at + 1]))
      for (++at; at < s.size() && is_digit(s[at]);) ++at;
    begin = at;
  }
  s = out + s.substr(std::min(begin, s.size()));
}

// Removes `head`, any spaces, `tail`: "^ \circ"; or with an empty tail, `head` and the spaces.
void drop_spaced(std::string& s, std::string_view head, std::string_view tail) {
  std::string out;
  for (size_t i = 0; i < s.size();) {
    size_t end = i + head.size();
    if (s.compare(i, head.size(), head) == 0) {
      while (end < s.size() && s[end] == ' ') ++end;
      if (s.compare(end, tail.size(), tail) == 0) {
        i = end + tail.size();
        continue;
      }
    }
    out += s[i++];
  }
  s = std::move(out);
}

// "7 3/4" -> "7+3/4": spaces between digits; a digit takes part once.
std::string mixed_numbers(const std::string& s) {
  std::string out;
  for (size_t i = 0; i < s.size(); ++i) {
    out += s[i];
    if (!is_digit(s[i])) continue;
    size_t next = i + 1;
    while (next < s.size() && s[next] == ' ') ++next;
    if (next == i + 1 || next >= s.size() || !is_digit(s[next])) continue;
    out.append("+").append(1, s[next]);
    i = next;
  }
  return out;
}

// "1,234,567" -> "1234567" wherever three digits and then no digit follow a comma behind a digit.
std::string without_thousands(std::string s) {
  for (size_t i = 1; i + 3 < s.size(); ++i) {
    if (s[i] != ',' || !is_digit(s[i - 1])) continue;
    const bool three = is_digit(s[i + 1]) && is_digit(s[i + 2]) && is_digit(s[i + 3]);
    if (!three || (i + 4 < s.size() && is_digit(s[i + 4]))) continue;
    s.erase(i, 1);
    i = 0;  // until nothing changes
  }
  return s;
}

bool reads_as_integer(const std::string& s) {
  const auto x = python_float(without_thousands(s));
  return x && near_integer(*x);
}

std::string number_words(std::string s) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kReplacements = {
      {{"\\%", "%"},
       {"\\$", "$"},
       {"$", ""},
       {"%", ""},
       {" or ", " , "},
       {" and ", " , "},
       {"million", "*10^6"},
       {"billion", "*10^9"},
       {"trillion", "*10^12"}}};
  for (const auto& [from, to] : kReplacements) replace_all(s, from, to);
  return s;
}

// /^-?[0-9]+.?\/0*[1-9][0-9]*.?$/
bool is_fraction(std::string_view s) {
  if (s.starts_with('-')) s.remove_prefix(1);
  size_t n = 0;
  while (n < s.size() && is_digit(s[n])) ++n;
  if (n == 0) return false;
  s.remove_prefix(n);
  if (!s.empty() && (s[0] != '/' || s.substr(1).starts_with('/'))) s.remove_prefix(utf8_length(s));
  if (!s.starts_with('/')) return false;
  s.remove_prefix(1);
  while (s.starts_with('0')) s.remove_prefix(1);
  if (s.empty() || s[0] < '1' || s[0] > '9') return false;
  while (!s.empty() && is_digit(s[0])) s.remove_prefix(1);
  return s.empty() || utf8_length(s) == s.size();
}

// The letters SymPy would have to guess about: at most two, and no exponent that could hang it.
bool may_evaluate(std::string both) {
  for (std::string_view bad : {"^{", "^("})
    if (both.find(bad) != both.npos) return false;
  for (size_t i = 0; i + 1 < both.size(); ++i) {
    if (both[i] != '^' || !is_digit(both[i + 1])) continue;
    if (i + 2 < both.size() && (both[i + 2] == '^' || is_digit(both[i + 2]))) return false;
  }
  for (std::string_view known : {"sqrt", "frac"}) replace_all(both, known, "");
  std::set<std::string> letters;
  for (std::string_view rest = both; !rest.empty(); rest.remove_prefix(utf8_length(rest)))
    if (is_letter(rest[0]) || static_cast<unsigned char>(rest[0]) >= 0x80)
      letters.insert(std::string(rest.substr(0, utf8_length(rest))));
  return letters.size() <= 2;
}

bool same_value(const std::string& gold, const std::string& pred) {
  if (!may_evaluate("(" + gold + ")-(" + pred + ")")) return false;
  const auto a = parse_latex(gold), b = parse_latex(pred);
  if (!a || !b || !is_scalar(*a) || !is_scalar(*b)) return false;
  Budget budget;
  return scalars_equal(*a, *b, {.log_is_natural = true, .letters_are_free = true}, budget);
}

std::vector<std::string> elements(const std::string& normal) {
  const std::string s = without_thousands(normal);
  constexpr std::string_view kBrackets = "()[]";
  auto bracket = [&](char c) { return kBrackets.find(c) != kBrackets.npos; };
  if (s.empty()) return {};
  if (s.size() <= 2 || !bracket(s.front()) || !bracket(s.back())) return {s};
  const std::string inner = s.substr(1, s.size() - 2);
  if (std::any_of(inner.begin(), inner.end(), bracket)) return {s};
  std::vector<std::string> out;
  for (std::string_view part : split(inner, ",")) out.emplace_back(trim(part));
  return out;
}

bool elements_equal(const std::string& gold, const std::string& pred) {
  if (is_fraction(gold) && is_fraction(pred)) return gold == pred;
  if (reads_as_integer(gold) != reads_as_integer(pred)) return false;
  return same_value(gold, pred);
}

}  // namespace

std::string prm800k_normal_form(std::string_view answer) {
  std::string s = number_words(without_enclosing_text(std::string(answer)));
  for (std::string_view unit :
       {"degree", "cm", "centimeter", "meter", "mile", "second", "minute", "hour", "day", "week",
        "month", "year", "foot", "feet", "inch", "yard"})
    drop_unit(s, unit);
  drop_spaced(s, "^", "\\circ");
  if (s.starts_with('{') && s.ends_with('}') && s.size() > 1) s = s.substr(1, s.size() - 2);
  drop_spaced(s, ",\\!", "");
  if (const auto x = python_float(s); x && near_integer(*x)) s = integer_text(*x);
  if (s.find('\\') != s.npos) s = latex_to_plain(s);
  for (size_t at = s.find("- "); at != s.npos; at = s.find("- ")) s.erase(at + 1, 1);
  s = mixed_numbers(s);
  for (char gone : {' ', '{', '}'}) std::erase(s, gone);
  s = lower_ascii(s);
  if (reads_as_integer(s)) {
    std::erase(s, ',');
    if (const auto x = python_float(s); x && std::isfinite(*x)) s = integer_text(std::trunc(*x));
  }
  return s;
}

bool prm800k_equal(std::string_view gold, std::string_view pred) {
  auto hendrycks_form = [](std::string_view s) {
    const std::string inner(trim(without_enclosing_text(std::string(trim(s)))));
    return hendrycks_normal_form(inner).value_or(inner);
  };
  if (hendrycks_form(gold) == hendrycks_form(pred)) return true;
  const std::string g = prm800k_normal_form(gold), p = prm800k_normal_form(pred);
  if (g == p) return true;
  if (p.empty() || g.empty()) return false;
  const auto gold_elements = elements(g), pred_elements = elements(p);
  if (gold_elements.size() > 1 && (g.front() != p.front() || g.back() != p.back())) return false;
  if (gold_elements.size() != pred_elements.size()) return false;
  return std::equal(gold_elements.begin(), gold_elements.end(), pred_elements.begin(),
                    elements_equal);
}

}  // namespace kvtoll
