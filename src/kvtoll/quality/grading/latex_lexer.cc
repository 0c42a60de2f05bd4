// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/latex_lexer.h"

#include <algorithm>
#include <array>

#include "kvtoll/quality/grading/latex_number.h"
#include "kvtoll/quality/grading/text_tools.h"
#include "kvtoll/quality/grading/units.h"

namespace kvtoll {
namespace {

constexpr size_t kMaxTokens = 1000;
constexpr int kMaxNesting = 8;  // \text{\text{...}}

constexpr std::array<std::string_view, 33> kFunctions = {
    "sin",    "cos",    "tan",    "cot",  "sec",  "csc",  "arcsin", "arccos", "arctan",
    "arccot", "arcsec", "arccsc", "asin", "acos", "atan", "sinh",   "cosh",   "tanh",
    "log",    "ln",     "lg",     "exp",  "sqrt", "cbrt", "min",    "max",    "gcd",
    "lcm",    "abs",    "floor",  "ceil", "det",  "arg"};
constexpr std::array<std::string_view, 24> kSmallWords = {
    "and", "or",  "percent", "am",  "pm",  "yes", "no",   "true", "none", "dne",   "per", "sq",
    "pct", "one", "two",     "six", "ten", "odd", "even", "east", "west", "north", "all", "both"};
constexpr std::array<std::string_view, 21> kSpacing = {
    "left",         "right",     "big",    "Big",       "bigg",  "Bigg", "bigl",
    "bigr",         "Bigl",      "Bigr",   "biggl",     "biggr", "quad", "qquad",
    "displaystyle", "textstyle", "limits", "thinspace", "rm",    "bf",   "it"};
constexpr std::array<std::string_view, 14> kTextCommands = {
    "text", "mbox",   "textbf", "textit", "textrm",       "textsf",     "mathrm",
    "hbox", "mathsf", "mathit", "emph",   "operatorname", "textnormal", "texttt"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

class Lexer {
 public:
  Lexer(std::string_view text, const LexOptions& options, int nesting)
      : text_(text), options_(options), nesting_(nesting) {}

  Result<std::vector<Token>> run() {
    while (true) {
      skip_space();
      if (at_ >= text_.size()) break;
      if (tokens_.size() >= kMaxTokens) return input_error("more than {} tokens", kMaxTokens);
      KVTOLL_TRY_VOID(next());
    }
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }
  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  void skip_space() {
    while (at_ < text_.size()) {
      if (peek() == ' ' || peek() == '~') {
        ++at_, space_ = true;
      } else if (peek() == '\\' && peek(1) != '\0' &&
                 std::string_view(",;:! >/").find(peek(1)) != std::string_view::npos) {
        space_ = space_ || peek(1) != '!';
        at_ += 2;
      } else {
        return;
      }
    }
  }

  void push(Token token) {
    token.space_before = space_;
    space_ = false;
    tokens_.push_back(std::move(token));
  }
  void push(TokenKind kind, std::string_view text) {
    Token t;
    t.kind = kind;
    t.text = std::string(text);
    push(std::move(t));
  }

  Result<void> next() {
    const char c = peek();
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return number();
    if (is_letter(c)) return letters();
    if (c == '\\') return command();
    constexpr std::array<std::string_view, 6> kTwo = {"<=", ">=", "!=", "==", "**", ":="};
    for (std::string_view two : kTwo)
      if (rest().starts_with(two)) {
        push(TokenKind::kSymbol, two == "==" || two == ":=" ? "=" : two == "**" ? "^" : two);
        at_ += 2;
        return {};
      }
    if (std::string_view("+-*/^_()[]{}|,;:!%=<>&$'").find(c) == std::string_view::npos)
      return input_error("unexpected '{}' at byte {}", rest().substr(0, utf8_length(rest())), at_);
    push(TokenKind::kSymbol, rest().substr(0, 1));
    track_brackets(c);
    ++at_;
    return {};
  }

  void track_brackets(char c) {
    if (c == '(' || c == '[') ++brackets_;
    if ((c == ')' || c == ']') && brackets_ > 0) --brackets_;
  }

  // Inside brackets a comma separates, unless ", " elsewhere shows that the bare one does not.
  bool joins_here() const {
    return options_.join_thousands && (brackets_ == 0 || text_.find(", ") != text_.npos);
  }

  Result<void> number() {
    KVTOLL_TRY(const NumberText number, read_number(rest(), joins_here()));
    Token t;
    t.kind = TokenKind::kNumber;
    t.text = std::string(text_.substr(at_, number.length));
    at_ += number.length;
    t.value = number.value;
    t.decimals = number.decimals;
    push(std::move(t));
    return {};
  }

  // Subscript and primes that belong to a variable's name: x_1, a_{n+1}, y''.
  std::string name_tail() {
    std::string tail;
    if (peek() == '_') {
      size_t end = at_ + 1;
      if (peek(1) == '{') {
        const size_t close = matching_brace(text_, at_ + 1);
        end = close == text_.npos ? text_.size() : close + 1;
      } else if (end < text_.size()) {
        end += utf8_length(text_.substr(end));
      }
      for (char c : text_.substr(at_, end - at_))
        if (c != '{' && c != '}' && c != ' ') tail += c;
      at_ = end;
    }
    for (; peek() == '\''; ++at_) tail += '\'';
    return tail;
  }

  Result<void> letters() {
    size_t end = at_;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    std::string_view run = text_.substr(at_, end - at_);
    if (const auto based = read_based_number(rest()); based && run.size() > 1) return number();
    if (run.size() > 1 && push_named(run)) {
      at_ = end;
      return {};
    }
    for (std::string_view function : kFunctions)  // "sinx", "cos2x"
      if (function.size() >= 3 && run.starts_with(function) && run.size() <= function.size() + 1) {
        at_ += function.size();
        push(TokenKind::kFunction, function);
        return {};
      }
    if (is_bare_word(run)) {
      push(TokenKind::kWord, run);
      at_ = end;
      return {};
    }
    const std::string_view name = text_.substr(at_++, 1);
    push(TokenKind::kVariable, std::string(name) + name_tail());
    return {};
  }

  // "30 min" is no minimum.
  bool measures(std::string_view word) const {
    return !tokens_.empty() && tokens_.back().kind == TokenKind::kNumber && find_unit(word);
  }

  // Names that are one thing: functions, pi, infinity.
  bool push_named(std::string_view run) {
    if (contains(kFunctions, run) && !measures(run)) {
      push(TokenKind::kFunction, run);
    } else if (run == "pi" || run == "Pi") {
      push(TokenKind::kCommand, "pi");
    } else if (run == "inf" || run == "infinity" || run == "oo") {
      push(TokenKind::kCommand, "infty");
    } else {
      return false;
    }
    return true;
  }

  Result<void> command() {
    size_t end = at_ + 1;
    while (end < text_.size() && is_letter(text_[end])) ++end;
    std::string_view name = text_.substr(at_ + 1, end - at_ - 1);
    if (name.empty()) return escaped_symbol();
    at_ = end;
    if (contains(kSpacing, name)) {
      space_ = true;
      if ((name == "left" || name == "right") && peek() == '.') ++at_;
      return {};
    }
    if (contains(kTextCommands, name)) return text_command(name);
    if (name == "hspace" || name == "phantom" || name == "label" || name == "tag") {
      const size_t close = peek() == '{' ? matching_brace(text_, at_) : text_.npos;
      at_ = close == text_.npos ? at_ : close + 1;
      return {};
    }
    if (contains(kFunctions, name)) {
      push(TokenKind::kFunction, name);
      return {};
    }
    push_command(name);
    return {};
  }

  void push_command(std::string_view name) {
    constexpr std::array<std::string_view, 2> kGreekCharacters = {"theta", "alpha"};
    constexpr std::array<std::string_view, 22> kGreek = {
        "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "lambda",
        "mu",   "nu",    "xi",    "rho",     "sigma",      "tau",  "phi", "varphi",
        "chi",  "psi",   "omega", "kappa",   "ell",        "Delta"};
    if (contains(kGreek, name) || contains(kGreekCharacters, name)) {
      push(TokenKind::kVariable, std::string(name) + name_tail());
      return;
    }
    if (name == "lbrace" || name == "rbrace") name = name == "lbrace" ? "{" : "}";
    push(TokenKind::kCommand, name);
  }

  // \{ \} \$ \% \| \\ and the like.
  Result<void> escaped_symbol() {
    const char c = peek(1);
    if (c == '\\') {
      push(TokenKind::kCommand, "\\");
    } else if (c == '%') {
      push(TokenKind::kSymbol, "%");
    } else if (c == '$') {
      push(TokenKind::kSymbol, "$");
    } else if (c == '{' || c == '}') {
      push(TokenKind::kCommand, c == '{' ? "{" : "}");
    } else if (c == '|') {
      push(TokenKind::kSymbol, "|");
    } else if (c == '&' || c == '#' || c == '_') {
      push(TokenKind::kWord, std::string(1, c));
    } else {
      return input_error("unexpected '\\' at byte {}", at_);
    }
    at_ += 2;
    return {};
  }

  // \text{...}: mathematics if it reads as a number, a letter or a function; otherwise words.
  Result<void> text_command(std::string_view name) {
    skip_space();
    if (peek() == '*') ++at_;
    const size_t close = peek() == '{' ? matching_brace(text_, at_) : text_.npos;
    if (close == text_.npos) {
      if (peek() == '{') return input_error("\\{} without its closing brace", name);
      return {};
    }
    std::string_view content = trim(text_.substr(at_ + 1, close - at_ - 1));
    while (content.starts_with('~') || content.starts_with("\\,") || content.starts_with("\\ "))
      content = trim(content.substr(content[0] == '~' ? 1 : 2));
    at_ = close + 1;
    if (content.empty()) {
      space_ = true;
      return {};
    }
    const bool style = name == "mathrm" || name == "operatorname" || name == "mathit";
    const bool letter = content.size() == 1 && is_letter(content[0]);
    const bool function = contains(kFunctions, content) && !measures(content);
    const bool numeric = is_digit(content[0]) || content[0] == '\\' || content[0] == '-' ||
                         content[0] == '$' || content[0] == '.' ||
                         content.find(',') != content.npos;
    if ((style && letter && content != "m" && content != "s" && content != "g") || function ||
        numeric)
      return nested(content);
    push_words(content);
    return {};
  }

  // "and" and "or" at either end join what stands around the words.
  void push_words(std::string_view words) {
    std::string_view last;
    for (std::string_view joint : {"and", "or"}) {
      const std::string first = std::string(joint) + " ", end = " " + std::string(joint);
      if (words.starts_with(first)) {
        push(TokenKind::kWord, joint);
        words = trim(words.substr(first.size()));
      }
      if (words.ends_with(end)) {
        last = joint;
        words = trim(words.substr(0, words.size() - end.size()));
      }
    }
    if (!words.empty()) push(TokenKind::kWord, words);
    if (!last.empty()) push(TokenKind::kWord, last);
  }

  Result<void> nested(std::string_view content) {
    if (nesting_ >= kMaxNesting) return input_error("text commands nest too deeply");
    KVTOLL_TRY(auto inner, Lexer(content, options_, nesting_ + 1).run());
    for (Token& token : inner) push(std::move(token));
    return {};
  }

  std::string_view text_;
  LexOptions options_;
  int nesting_;
  size_t at_ = 0;
  bool space_ = false;
  int brackets_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

bool is_bare_word(std::string_view letters) {
  const std::string lower = lower_ascii(letters);
  if (letters.size() >= 4) return true;
  if (letters.size() < 2) return false;
  return contains(kSmallWords, lower) || find_unit(lower).has_value();
}

Result<std::vector<Token>> lex_latex(std::string_view text, const LexOptions& options) {
  KVTOLL_TRY(auto tokens, Lexer(text, options, 0).run());
  if (tokens.size() > kMaxTokens) return input_error("more than {} tokens", kMaxTokens);
  tokens.push_back({});
  return tokens;
}

}  // namespace kvtoll
