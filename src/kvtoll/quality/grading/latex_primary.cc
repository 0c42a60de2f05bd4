// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The second half of the parser: what a term is made of.
#include <algorithm>
#include <array>

#include "kvtoll/quality/grading/parser_state.h"
#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll::detail {
namespace {

Expr constant(std::string name) { return make_node(ExprKind::kConstant, {}, std::move(name)); }

Expr number_of(const Token& token) {
  Expr e = make_number(token.value);
  e.decimals = token.decimals;
  e.text = token.text;
  return e;
}

// \frac12: the number 12 is two groups of one digit. Splits the token in place; false if it cannot.
bool split_digit(Token& token, Token& first) {
  if (token.kind != TokenKind::kNumber || token.decimals >= 0 || denominator(token.value) != 1)
    return false;
  const std::string digits = numerator(token.value).str();
  if (digits.size() < 2) return false;
  first = token;
  first.value = Rational(digits[0] - '0');
  // The rest by value: as text, "08" would be read in base eight.
  token.value -= first.value * Rational(pow(Integer(10), static_cast<unsigned>(digits.size() - 1)));
  token.space_before = false;
  return true;
}

}  // namespace

// Words at the cursor as one text node; stops at "and" and "or".
Expr Parser::words() {
  std::string text;
  while (at_word()) {
    text += (text.empty() ? "" : " ") + now().text;
    ++at_;
  }
  return make_node(ExprKind::kText, {}, text);
}

Result<Expr> Parser::until(std::string_view close, std::string_view name) {
  KVTOLL_TRY(Expr inner, list());
  const bool closed = close == "}" ? take_symbol("}") : take_command(close) || take_symbol(close);
  if (!closed) return unexpected(name);
  return inner;
}

Result<Expr> Parser::group() {
  if (take_symbol("{")) return until("}", "'}'");
  Token first;
  if (split_digit(tokens_[at_], first)) return number_of(first);
  return primary();
}

Result<Expr> Parser::primary() {
  Deeper deeper(depth_);
  if (depth_ > kMaxDepth) return input_error("nested more than {} deep", kMaxDepth);
  const Token& t = now();
  switch (t.kind) {
    case TokenKind::kNumber:
      ++at_;
      return number_of(t);
    case TokenKind::kVariable:
      ++at_;
      if (t.text == "e" || t.text == "i") return constant(t.text);
      return make_node(ExprKind::kVariable, {}, t.text);
    case TokenKind::kFunction:
      return function();
    case TokenKind::kWord:
      if (at_word()) return words();
      return unexpected("a term");
    case TokenKind::kCommand:
      return command_primary();
    case TokenKind::kSymbol:
      if (t.text == "(" || t.text == "[") return bracketed();
      if (t.text == "{") return braces(false);
      if (t.text == "|") return bars();
      return unexpected("a term");
    case TokenKind::kEnd:
      break;
  }
  return unexpected("a term");
}

Result<Expr> Parser::command_primary() {
  const std::string name = now().text;
  constexpr std::array<std::string_view, 16> kStyles = {
      "overline",       "vec",      "hat",     "bar",          "mathbf",  "boldsymbol",
      "angle",          "tilde",    "widehat", "underline",    "mathcal", "boxed",
      "overrightarrow", "triangle", "fbox",    "measuredangle"};
  if (name == "begin") return matrix();
  if (name == "{") return braces(true);
  if (name == "lvert" || name == "vert") return bars();
  if (name == "sqrt") return square_root();
  if (name == "langle") return bracketed();
  ++at_;
  if (name == "pi") return constant("pi");
  if (name == "infty") return make_node(ExprKind::kInfinity, {});
  if (name == "emptyset" || name == "varnothing") return make_node(ExprKind::kSet, {});
  if (name == "frac" || name == "dfrac" || name == "tfrac" || name == "cfrac") return fraction();
  if (name == "binom" || name == "dbinom" || name == "tbinom") {
    KVTOLL_TRY(Expr n, group());
    KVTOLL_TRY(Expr k, group());
    return make_node(ExprKind::kFunction, {std::move(n), std::move(k)}, "binomial");
  }
  if (name == "lfloor" || name == "lceil") {
    KVTOLL_TRY(Expr e, until(name == "lfloor" ? "rfloor" : "rceil", "the closing bracket"));
    return make_node(ExprKind::kFunction, {std::move(e)}, name == "lfloor" ? "floor" : "ceil");
  }
  if (name == "mathbb") {
    KVTOLL_TRY(Expr e, group());
    return make_node(ExprKind::kVariable, {}, "set " + e.text);
  }
  if (name == "ldots" || name == "dots" || name == "cdots")
    return make_node(ExprKind::kVariable, {}, "...");
  if (std::find(kStyles.begin(), kStyles.end(), name) != kStyles.end()) return group();
  --at_;
  return unexpected("a term");
}

Result<Expr> Parser::fraction() {
  KVTOLL_TRY(Expr above, group());
  KVTOLL_TRY(Expr below, group());
  return make_node(ExprKind::kDivide, {std::move(above), std::move(below)});
}

Result<Expr> Parser::square_root() {
  ++at_;
  std::vector<Expr> args(1);
  if (take_symbol("[")) {
    KVTOLL_TRY(Expr index, sum());
    if (!take_symbol("]")) return unexpected("']'");
    args.push_back(std::move(index));
  }
  // \\sqrt13 means 13 to whoever writes it, though TeX takes one digit.
  if (now().kind == TokenKind::kNumber || !now().symbol("{")) {
    KVTOLL_TRY(args[0], primary());
  } else {
    KVTOLL_TRY(args[0], group());
  }
  return make_node(ExprKind::kFunction, std::move(args), "root");
}

// (..), [..], mixed ends, <..>: a group if it holds one thing, a tuple (or interval) if more.
Result<Expr> Parser::bracketed() {
  const bool angle = now().command("langle");
  const std::string open = angle ? "(" : now().text;
  ++at_;
  const int outer_bars = bars_;
  bars_ = 0;
  if (now().symbol(")") && open == "(") return unexpected("a term");
  KVTOLL_TRY(Expr inner, list());
  bars_ = outer_bars;
  std::string close;
  if (angle ? take_command("rangle") : take_symbol(")"))
    close = ")";
  else if (!angle && take_symbol("]"))
    close = "]";
  else
    return unexpected("a closing bracket");
  if (inner.is(ExprKind::kList)) {
    inner.kind = ExprKind::kTuple;
    inner.text = open + close;
  } else if ((open == "(") != (close == ")")) {
    return unexpected("two ends of an interval");
  }
  return inner;
}

// \{..\} is a set, also with a condition behind ":" or "|"; {..} a group, or a set if it holds a
// list.
Result<Expr> Parser::braces(bool escaped) {
  ++at_;
  if (escaped && take_command("}")) return make_node(ExprKind::kSet, {});
  const int outer_bars = bars_;
  bars_ = escaped ? 1 : 0;  // a bar inside \{..\} ends the element
  KVTOLL_TRY(Expr inner, list());
  if (!escaped && (now().command("over") || now().command("choose"))) {
    const bool over = now().command("over");
    ++at_;
    KVTOLL_TRY(Expr below, list());
    inner = over ? make_node(ExprKind::kDivide, {std::move(inner), std::move(below)})
                 : make_node(ExprKind::kFunction, {std::move(inner), std::move(below)}, "binomial");
  }
  const bool condition = escaped && (take_symbol("|") || take_command("mid"));
  if (condition) {
    KVTOLL_TRY(inner, list());
  } else if (escaped && inner.is(ExprKind::kRelation) && inner.args[0].is(ExprKind::kRatio)) {
    inner.args[0] = Expr(inner.args[0].args.back());  // {x : x > 0}
  }
  bars_ = outer_bars;
  if (!(escaped ? take_command("}") || take_symbol("}") : take_symbol("}")))
    return unexpected("a closing brace");
  if (condition) return inner;
  if (inner.is(ExprKind::kList)) return make_node(ExprKind::kSet, std::move(inner.args));
  if (!escaped || inner.is(ExprKind::kRelation)) return inner;
  return make_node(ExprKind::kSet, {std::move(inner)});
}

Result<Expr> Parser::bars() {
  const bool command = now().kind == TokenKind::kCommand;
  const std::string close = command ? (now().text == "lvert" ? "rvert" : "vert") : "|";
  ++at_;
  ++bars_;
  KVTOLL_TRY(Expr inner, sum());
  --bars_;
  if (!(command ? take_command(close) : take_symbol(close))) return unexpected("a closing bar");
  return make_node(ExprKind::kFunction, {std::move(inner)}, "abs");
}

// The argument of a function without brackets: what multiplies, up to the next sign or function.
Result<Expr> Parser::function_argument() {
  if (now().symbol("(") || now().symbol("{")) return primary();
  KVTOLL_TRY(Expr left, unary());
  while (starts_primary() && now().kind != TokenKind::kFunction && !now().symbol("(")) {
    KVTOLL_TRY(Expr right, power());
    left = make_node(ExprKind::kMultiply, {std::move(left), std::move(right)});
  }
  return left;
}

Result<Expr> Parser::function() {
  Deeper deeper(depth_);
  std::string name = now().text;
  if (name == "sqrt") return square_root();
  ++at_;
  std::vector<Expr> args(1);
  Expr raised;
  bool has_power = false;
  for (int i = 0; i < 2; ++i) {
    if (name == "log" && args.size() == 1 && take_symbol("_")) {
      KVTOLL_TRY(Expr base, group());
      args.push_back(std::move(base));
    } else if (!has_power && take_symbol("^")) {
      KVTOLL_TRY(raised, exponent());
      has_power = true;
    }
  }
  KVTOLL_TRY(args[0], function_argument());
  if (args[0].is(ExprKind::kTuple)) args = std::vector<Expr>(args[0].args);
  const bool inverse = has_power && raised.is(ExprKind::kNumber) && raised.value == -1;
  if (inverse) name = "arc" + name;
  Expr call = make_node(ExprKind::kFunction, std::move(args), name);
  if (!has_power || inverse) return call;
  return make_node(ExprKind::kPower, {std::move(call), std::move(raised)});
}

Result<Expr> Parser::matrix() {
  ++at_;
  std::string name;
  if (!take_symbol("{")) return unexpected("'{'");
  while (!done() && !take_symbol("}")) name += now().text, ++at_;
  if (!name.ends_with("matrix") && name != "array") return unexpected("a matrix environment");
  if (name == "array" && take_symbol("{"))
    while (!done() && !take_symbol("}")) ++at_;
  std::vector<Expr> cells;
  size_t rows = 0, columns = 0, in_row = 0;
  while (!done()) {
    if (take_command("\\") || now().command("end")) {
      if (in_row > 0) {
        if (rows > 0 && in_row != columns) return unexpected("rows of equal length");
        columns = in_row, in_row = 0, ++rows;
      }
      if (!now().command("end")) continue;
      break;
    }
    if (in_row > 0 && !take_symbol("&")) return unexpected("'&' or '\\\\'");
    KVTOLL_TRY(Expr cell, item());
    cells.push_back(std::move(cell));
    ++in_row;
  }
  if (!take_command("end") || rows == 0) return unexpected("the end of the matrix");
  if (take_symbol("{"))
    while (!done() && !take_symbol("}")) ++at_;
  return make_node(ExprKind::kMatrix, std::move(cells), fmt::format("{}x{}", rows, columns));
}

}  // namespace kvtoll::detail
