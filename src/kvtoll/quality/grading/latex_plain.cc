// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/latex_plain.h"

#include <algorithm>
#include <array>
#include <utility>

#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace {

constexpr int kMaxDepth = 50;

using Pair = std::pair<std::string_view, std::string_view>;
// What the grader renames afterwards (√ π ∞ ∪ · ×) stands here under its final name.
constexpr std::array kSymbols = {
    Pair{"pi", "pi"},         Pair{"infty", "inf"},     Pair{"cup", "U"},
    Pair{"cdot", "*"},        Pair{"times", "*"},       Pair{"cap", "∩"},
    Pair{"pm", "±"},          Pair{"mp", "∓"},          Pair{"div", "÷"},
    Pair{"in", "∈"},          Pair{"le", "≤"},          Pair{"leq", "≤"},
    Pair{"ge", "≥"},          Pair{"geq", "≥"},         Pair{"neq", "≠"},
    Pair{"approx", "≈"},      Pair{"alpha", "α"},       Pair{"beta", "β"},
    Pair{"gamma", "γ"},       Pair{"delta", "δ"},       Pair{"theta", "θ"},
    Pair{"lambda", "λ"},      Pair{"mu", "μ"},          Pair{"phi", "ϕ"},
    Pair{"varphi", "φ"},      Pair{"omega", "ω"},       Pair{"sigma", "σ"},
    Pair{"tau", "τ"},         Pair{"rho", "ρ"},         Pair{"circ", "∘"},
    Pair{"emptyset", "∅"},    Pair{"varnothing", "∅"},  Pair{"langle", "⟨"},
    Pair{"rangle", "⟩"},      Pair{"ldots", "…"},       Pair{"dots", "…"},
    Pair{"setminus", "∖"},    Pair{"mid", "|"},         Pair{"lvert", "|"},
    Pair{"rvert", "|"},       Pair{"to", "→"},          Pair{"angle", "∠"},
    Pair{"backslash", "\\"},  Pair{"prime", "'"},       Pair{"sin", "sin"},
    Pair{"cos", "cos"},       Pair{"tan", "tan"},       Pair{"arcsin", "arcsin"},
    Pair{"arccos", "arccos"}, Pair{"arctan", "arctan"}, Pair{"sinh", "sinh"},
    Pair{"cosh", "cosh"},     Pair{"tanh", "tanh"},     Pair{"ln", "ln"},
    Pair{"log", "log"},       Pair{"exp", "exp"},       Pair{"lim", "lim"},
    Pair{"max", "max"},       Pair{"min", "min"},       Pair{"quad", "  "},
    Pair{"qquad", "    "},
};

class Converter {
 public:
  explicit Converter(std::string_view text) : text_(text) {}

  // Until `stop` ("}" or an environment's end) or the end of the text.
  std::string run(int depth, bool in_group) {
    std::string out;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '}' && in_group) break;
      if (c == '\\') {
        if (text_.substr(at_).starts_with("\\end")) break;
        out += command(depth);
      } else if (c == '{') {
        ++at_;
        out += group_rest(depth);
      } else if (c == '$') {
        ++at_;
      } else {
        out += c;
        ++at_;
      }
    }
    return out;
  }

 private:
  std::string group_rest(int depth) {
    std::string inner = depth < kMaxDepth ? run(depth + 1, true) : std::string();
    if (at_ < text_.size() && text_[at_] == '}') ++at_;
    return inner;
  }

  void skip_space() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }

  // A macro's argument: a group, a command or one character.
  std::string argument(int depth) {
    skip_space();
    if (at_ >= text_.size() || depth >= kMaxDepth) return {};
    if (text_[at_] == '{') {
      ++at_;
      return group_rest(depth);
    }
    if (text_[at_] == '\\') return command(depth + 1);
    const size_t n = utf8_length(text_.substr(at_));
    at_ += n;
    return std::string(text_.substr(at_ - n, n));
  }

  std::string command(int depth) {
    size_t end = at_ + 1;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    if (end == at_ + 1) return escaped();
    const std::string_view name = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end;
    if (name == "begin") return environment(depth);
    if (name == "left" || name == "right") return {};
    if (name == "frac") {
      const std::string above = argument(depth), below = argument(depth);
      return above + "/" + below;
    }
    if (name == "sqrt") {
      skip_space();
      if (at_ < text_.size() && text_[at_] == '[') {
        const size_t close = text_.find(']', at_);
        at_ = close == text_.npos ? text_.size() : close + 1;
      }
      return "sqrt(" + argument(depth) + ")";
    }
    if (name == "mbox" || name == "textsf") {
      argument(depth);
      return {};
    }
    skip_space();
    const auto it = std::find_if(kSymbols.begin(), kSymbols.end(),
                                 [&](const Pair& p) { return p.first == name; });
    return it == kSymbols.end() ? std::string() : std::string(it->second);
  }

  std::string escaped() {
    const size_t n = at_ + 1 < text_.size() ? utf8_length(text_.substr(at_ + 1)) : 0;
    const std::string_view c = text_.substr(at_ + 1, n);
    at_ += 1 + n;
    if (c == "!" || c == "\\") return {};
    if (c == "," || c == ";" || c == ":" || c == " ") return " ";
    const bool known = std::string_view("{}$%&#_").find(c) != std::string_view::npos;
    return known ? std::string(c) : std::string();
  }

  // A matrix: "[ 1 2; 3 4 ]". Any other environment: its content.
  std::string environment(int depth) {
    const std::string name = argument(depth);
    std::string inner = depth < kMaxDepth ? matrix_or_text(depth + 1, name) : std::string();
    if (text_.substr(at_).starts_with("\\end")) {
      at_ += 4;
      argument(depth);
    }
    return inner;
  }

  std::string matrix_or_text(int depth, std::string_view name) {
    if (!name.ends_with("matrix") && name != "array") return run(depth, false);
    std::string out = "[";
    while (at_ < text_.size() && !text_.substr(at_).starts_with("\\end")) {
      if (text_.substr(at_).starts_with("\\\\")) {
        out += ";";
        at_ += 2;
      } else if (text_[at_] == '&') {
        ++at_;
      } else if (text_[at_] == '\\') {
        out += command(depth);
      } else if (text_[at_] == '{') {
        ++at_;
        out += group_rest(depth);
      } else {
        out += text_[at_++];
      }
    }
    return out + "]";
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string latex_to_plain(std::string_view latex) {
  std::string s(latex);
  for (std::string_view variant : {"\\tfrac", "\\dfrac"}) replace_all(s, variant, "\\frac");
  replace_all(s, "\\frac", " \\frac");  // so that a mixed number keeps its space
  Converter converter(s);
  std::string out = converter.run(0, false);
  replace_all(out, "√", "sqrt");
  replace_all(out, "π", "pi");
  replace_all(out, "∞", "inf");
  replace_all(out, "∪", "U");
  replace_all(out, "·", "*");
  replace_all(out, "×", "*");
  return std::string(trim(out));
}

}  // namespace kvtoll
