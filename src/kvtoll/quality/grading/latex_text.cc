// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/latex_text.h"

#include <array>
#include <utility>

#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;
constexpr std::array kUnicode = {
    Pair{"−", "-"},           Pair{"–", "-"},           Pair{"—", "-"},
    Pair{"π", "\\pi "},       Pair{"√", "\\sqrt "},     Pair{"∞", "\\infty "},
    Pair{"∪", "\\cup "},      Pair{"∩", "\\cap "},      Pair{"≤", "\\le "},
    Pair{"⩽", "\\le "},       Pair{"≥", "\\ge "},       Pair{"⩾", "\\ge "},
    Pair{"≠", "\\ne "},       Pair{"≈", "\\approx "},   Pair{"·", "\\cdot "},
    Pair{"⋅", "\\cdot "},     Pair{"×", "\\times "},    Pair{"÷", "\\div "},
    Pair{"°", "^\\circ "},    Pair{"∘", "\\circ "},     Pair{"±", "\\pm "},
    Pair{"∓", "\\mp "},       Pair{"²", "^2 "},         Pair{"³", "^3 "},
    Pair{"½", "\\frac12 "},   Pair{"¼", "\\frac14 "},   Pair{"¾", "\\frac34 "},
    Pair{"⅓", "\\frac13 "},   Pair{"⅔", "\\frac23 "},   Pair{"θ", "\\theta "},
    Pair{"α", "\\alpha "},    Pair{"β", "\\beta "},     Pair{"γ", "\\gamma "},
    Pair{"λ", "\\lambda "},   Pair{"μ", "\\mu "},       Pair{"φ", "\\phi "},
    Pair{"ω", "\\omega "},    Pair{"∈", "\\in "},       Pair{"∅", "\\emptyset "},
    Pair{"ℝ", "\\mathbb{R}"}, Pair{"ℤ", "\\mathbb{Z}"}, Pair{"∖", "\\setminus "},
    Pair{"，", ","},          Pair{"（", "("},          Pair{"）", ")"},
    Pair{"：", ":"},          Pair{"；", ";"},          Pair{"。", "."},
    Pair{"’", "'"},           Pair{"′", "'"},           Pair{"⟨", "\\langle "},
    Pair{"⟩", "\\rangle "},   Pair{"€", "\\euro "},     Pair{"£", "\\pounds "},
    Pair{"\u00a0", " "},      Pair{"\u202f", " "},      Pair{"\u2009", " "},
    Pair{"\u2061", ""},       Pair{"\u200b", ""},
};

constexpr std::array kHalvesOfTheDay = {Pair{"a.m.", "am"}, Pair{"p.m.", "pm"}, Pair{"A.M.", "am"},
                                        Pair{"P.M.", "pm"}};

// The content if `text` is exactly OPEN...CLOSE around one group, else empty.
std::string_view unwrap(std::string_view text, std::string_view open, std::string_view close) {
  if (text.size() < open.size() + close.size() || !text.starts_with(open) || !text.ends_with(close))
    return {};
  const std::string_view inner = text.substr(open.size(), text.size() - open.size() - close.size());
  return inner.find(close) == inner.npos ? inner : std::string_view{};
}

std::string_view unwrap_command(std::string_view text, std::string_view command) {
  if (!text.starts_with(command) || text.size() <= command.size()) return {};
  const size_t open = command.size();
  if (text[open] != '{' || matching_brace(text, open) != text.size() - 1) return {};
  return text.substr(open + 1, text.size() - open - 2);
}

// Outside environments a doubled backslash before a letter is an escaped command: "\\\\frac".
void undouble_commands(std::string& text) {
  if (text.find("\\\\") == text.npos) return;
  std::string out;
  int environments = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = std::string_view(text).substr(i);
    if (rest.starts_with("\\begin")) ++environments;
    if (rest.starts_with("\\end")) --environments;
    const bool doubled = rest.starts_with("\\\\") && rest.size() > 2 && is_letter(rest[2]);
    if (doubled && (environments <= 0 || rest.starts_with("\\\\end{"))) continue;
    if (!doubled && rest.starts_with("\\\\")) out += text[i++];  // keep both of a row separator
    out += text[i];
  }
  text = std::move(out);
}

std::string_view unwrap_all(std::string_view text) {
  constexpr std::array kPairs = {Pair{"$$", "$$"}, Pair{"$", "$"}, Pair{"\\(", "\\)"},
                                 Pair{"\\[", "\\]"}};
  for (int round = 0; round < 8; ++round) {
    std::string_view inner;
    for (const auto& [open, close] : kPairs)
      if (inner.empty()) inner = unwrap(text, open, close);
    for (std::string_view command : {"\\boxed", "\\fbox", "\\displaystyle", "\\ensuremath"})
      if (inner.empty()) inner = unwrap_command(text, command);
    if (inner.empty()) break;
    text = trim(inner);
  }
  return text;
}

// Pairs of "$" only switch to mathematics; a single one is money.
void drop_math_switches(std::string& text) {
  int dollars = 0;
  for (size_t i = 0; i < text.size(); ++i)
    dollars += text[i] == '$' && (i == 0 || text[i - 1] != '\\');
  if (dollars == 0 || dollars % 2 != 0) return;
  std::string out;
  for (size_t i = 0; i < text.size(); ++i)
    if (text[i] != '$' || (i > 0 && text[i - 1] == '\\')) out += text[i];
  text = std::move(out);
}

}  // namespace

std::string prepare_latex(std::string_view answer) {
  std::string s(trim(answer));
  for (char c : s)
    if (static_cast<unsigned char>(c) >= 0x80) {
      for (const auto& [from, to] : kUnicode) replace_all(s, from, to);
      break;
    }
  for (char& c : s)
    if (c == '\n' || c == '\t' || c == '\r') c = ' ';
  undouble_commands(s);
  for (const auto& [dotted, plain] : kHalvesOfTheDay) replace_all(s, dotted, plain);
  std::string_view text = trim(s);
  while (text.ends_with('.') || text.ends_with(';') || text.ends_with("\\"))
    text = trim(text.substr(0, text.size() - 1));
  text = unwrap_all(text);
  while (text.ends_with('.') || text.ends_with(',') || text.ends_with("\\"))
    text = trim(text.substr(0, text.size() - 1));  // "\,." too
  std::string prepared(text);
  drop_math_switches(prepared);
  return prepared;
}

std::string plain_words(std::string_view answer) {
  const std::string prepared = prepare_latex(answer);
  std::string out;
  for (size_t i = 0; i < prepared.size(); ++i) {
    const char c = prepared[i];
    if (c == '\\') {  // a command of style vanishes; any other keeps its name
      size_t end = i + 1;
      while (end < prepared.size() && is_letter(prepared[end])) ++end;
      const std::string_view name = std::string_view(prepared).substr(i + 1, end - i - 1);
      if (!name.starts_with("text") && !name.starts_with("math") && name != "mbox" &&
          name != "left" && name != "right" && name != "bf" && name != "rm" && name != "quad")
        out += name;
      i = end == i + 1 ? i + 1 : end - 1;
      if (!out.empty() && out.back() != ' ') out += ' ';
      continue;
    }
    const bool keep = is_letter(c) || is_digit(c) || static_cast<unsigned char>(c) >= 0x80;
    if (keep)
      out += c;
    else if (!out.empty() && out.back() != ' ' && c != '\'')
      out += ' ';
  }
  return lower_ascii(trim(out));
}

}  // namespace kvtoll
