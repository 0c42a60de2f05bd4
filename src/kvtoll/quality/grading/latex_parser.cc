// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/latex_parser.h"

#include <algorithm>
#include <array>

#include "kvtoll/quality/grading/parser_state.h"
#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace detail {
namespace {

constexpr size_t kMaxText = 4000;

struct Operator {
  std::string_view spelling, name;
};
constexpr std::array kRelationCommands = {
    Operator{"le", "<="},        Operator{"leq", "<="},        Operator{"leqslant", "<="},
    Operator{"ge", ">="},        Operator{"geq", ">="},        Operator{"geqslant", ">="},
    Operator{"lt", "<"},         Operator{"gt", ">"},          Operator{"ne", "!="},
    Operator{"neq", "!="},       Operator{"in", "in"},         Operator{"approx", "~"},
    Operator{"equiv", "equiv"},  Operator{"sim", "~"},         Operator{"to", "to"},
    Operator{"mapsto", "to"},    Operator{"rightarrow", "to"}, Operator{"implies", "=>"},
    Operator{"notin", "notin"},  Operator{"subset", "subset"}, Operator{"cong", "~"},
    Operator{"Rightarrow", "=>"}};

bool is_set_like(const Expr& e) {
  return e.is(ExprKind::kTuple) || e.is(ExprKind::kSet) || e.is(ExprKind::kText) ||
         e.is(ExprKind::kMatrix);
}

Expr negate(Expr e) {
  if (e.is(ExprKind::kNumber)) {
    e.value = -e.value;
    return e;
  }
  return make_node(ExprKind::kNegate, {std::move(e)});
}

// Joins a left operand and the next one under an n-ary node without nesting.
Expr join(ExprKind kind, Expr left, Expr right) {
  if (left.is(kind) && left.text.empty()) {
    left.args.push_back(std::move(right));
    return left;
  }
  return make_node(kind, {std::move(left), std::move(right)});
}

}  // namespace

bool Parser::take_symbol(std::string_view text) {
  if (!now().symbol(text)) return false;
  ++at_;
  return true;
}

bool Parser::take_command(std::string_view text) {
  if (!now().command(text)) return false;
  ++at_;
  return true;
}

tl::unexpected<Error> Parser::unexpected(std::string_view wanted) const {
  return input_error("expected {} at token {}, found {}", wanted, at_,
                     done() ? "the end" : "'" + now().text + "'");
}

Result<Expr> Parser::answer() {
  KVTOLL_TRY(Expr e, list());
  if (!done()) return unexpected("the end");
  return e;
}

bool Parser::at_separator(std::string& name) const {
  const Token& t = now();
  if (t.symbol(",") || t.symbol(";") || t.symbol("&")) {
    name = ",";
    return true;
  }
  const std::string word = t.kind == TokenKind::kWord ? lower_ascii(t.text) : t.text;
  const bool spoken = t.kind == TokenKind::kWord || t.kind == TokenKind::kCommand;
  if (spoken && (word == "and" || word == "or" || word == "land" || word == "lor")) {
    name = word.ends_with("or") ? "or" : "and";
    return true;
  }
  return false;
}

Result<Expr> Parser::list() {
  Deeper deeper(depth_);
  if (depth_ > kMaxDepth) return input_error("nested more than {} deep", kMaxDepth);
  std::vector<Expr> items;
  std::string name = ",", separator;
  while (true) {
    KVTOLL_TRY(Expr e, item());
    items.push_back(std::move(e));
    bool more = false;
    while (at_separator(separator)) {  // "46, and 82"
      ++at_, more = true;
      if (separator != ",") name = separator;
    }
    if (!more || done()) break;
  }
  if (items.size() == 1) return std::move(items[0]);
  return make_node(ExprKind::kList, std::move(items), name);
}

// The relation at the cursor and how many tokens it takes; "" if there is none.
std::string Parser::relation_operator(size_t& tokens) const {
  tokens = 1;
  if (now().kind == TokenKind::kSymbol) {
    for (std::string_view s : {"=", "<", ">", "<=", ">=", "!="})
      if (now().text == s) return std::string(s);
    return {};
  }
  if (now().command("not") && ahead(1).symbol("=")) {
    tokens = 2;
    return "!=";
  }
  if (now().kind != TokenKind::kCommand) return {};
  for (const Operator& op : kRelationCommands)
    if (now().text == op.spelling) return std::string(op.name);
  return {};
}

Result<Expr> Parser::item() {
  size_t tokens = 0;
  KVTOLL_TRY(Expr first, set());
  std::vector<Expr> sides;
  sides.push_back(std::move(first));
  std::string operators;
  for (std::string op; !(op = relation_operator(tokens)).empty();) {
    at_ += tokens;
    operators += (operators.empty() ? "" : " ") + op;
    KVTOLL_TRY(Expr next, set());
    sides.push_back(std::move(next));
  }
  if (sides.size() == 1) return std::move(sides[0]);
  return make_node(ExprKind::kRelation, std::move(sides), operators);
}

Result<Expr> Parser::set() {
  KVTOLL_TRY(Expr left, ratio());
  while (true) {
    const bool letter_u = now().is(TokenKind::kVariable, "U") && left.is(ExprKind::kTuple);
    ExprKind kind;
    if (now().command("cup") || now().command("bigcup") || letter_u)
      kind = ExprKind::kUnion;
    else if (now().command("cap"))
      kind = ExprKind::kIntersection;
    else if (now().command("setminus") || now().command("backslash"))
      kind = ExprKind::kDifference;
    else
      return left;
    ++at_;
    KVTOLL_TRY(Expr right, ratio());
    left = kind == ExprKind::kDifference ? make_node(kind, {std::move(left), std::move(right)})
                                         : join(kind, std::move(left), std::move(right));
  }
}

Result<Expr> Parser::ratio() {
  KVTOLL_TRY(Expr first, sum());
  if (!now().symbol(":")) return first;
  std::vector<Expr> parts;
  parts.push_back(std::move(first));
  while (take_symbol(":")) {
    KVTOLL_TRY(Expr next, sum());
    parts.push_back(std::move(next));
  }
  return make_node(ExprKind::kRatio, std::move(parts));
}

Result<Expr> Parser::sum() {
  Deeper deeper(depth_);
  if (depth_ > kMaxDepth) return input_error("nested more than {} deep", kMaxDepth);
  const bool money = now().symbol("$") || now().command("euro") || now().command("pounds");
  const std::string currency = !money ? "" : now().symbol("$") ? "dollar" : now().text;
  if (money) ++at_;
  KVTOLL_TRY(Expr left, product());
  while (true) {
    if (take_symbol("+")) {
      KVTOLL_TRY(Expr right, product());
      left = join(ExprKind::kAdd, std::move(left), std::move(right));
    } else if (take_symbol("-")) {
      KVTOLL_TRY(Expr right, product());
      left = join(ExprKind::kAdd, std::move(left), negate(std::move(right)));
    } else if (now().command("pm") || now().command("mp")) {
      const std::string sign = now().text == "pm" ? "+-" : "-+";
      ++at_;
      KVTOLL_TRY(Expr right, product());
      left = make_node(ExprKind::kPlusMinus, {std::move(left), std::move(right)}, sign);
    } else {
      break;
    }
  }
  if (money) left = make_node(ExprKind::kQuantity, {std::move(left)}, currency);
  KVTOLL_TRY(Expr whole, unit_after(std::move(left)));
  return smaller_units_after(std::move(whole));
}

bool Parser::at_word() const {
  std::string name;
  return now().kind == TokenKind::kWord && !at_separator(name);
}

bool Parser::starts_primary() const {
  const Token& t = now();
  switch (t.kind) {
    case TokenKind::kVariable:
    case TokenKind::kFunction:
      return true;
    case TokenKind::kSymbol:
      return t.text == "(" || t.text == "{" || t.text == "[" || (t.text == "|" && bars_ == 0);
    case TokenKind::kCommand: {
      constexpr std::array<std::string_view, 31> kStarts = {
          "frac",          "dfrac",      "tfrac",    "cfrac", "sqrt",     "binom",
          "dbinom",        "tbinom",     "pi",       "infty", "begin",    "langle",
          "lfloor",        "lceil",      "overline", "vec",   "hat",      "bar",
          "mathbf",        "boldsymbol", "lvert",    "vert",  "tilde",    "mathbb",
          "widehat",       "underline",  "mathcal",  "angle", "triangle", "measuredangle",
          "overrightarrow"};
      return std::find(kStarts.begin(), kStarts.end(), t.text) != kStarts.end();
    }
    default:
      return false;
  }
}

// 1\frac{4}{5}, 7 3/4: a whole number followed by a proper fraction of whole numbers.
bool Parser::is_mixed_number(const Expr& whole) const {
  if (!whole.is(ExprKind::kNumber) || whole.decimals >= 0 || denominator(whole.value) != 1)
    return false;
  auto proper = [](const Token& a, const Token& b) {
    return a.kind == TokenKind::kNumber && b.kind == TokenKind::kNumber && a.decimals < 0 &&
           b.decimals < 0 && a.value < b.value && a.value > 0;
  };
  if (now().kind == TokenKind::kNumber) return ahead(1).symbol("/") && proper(now(), ahead(2));
  if (!now().command("frac") && !now().command("dfrac") && !now().command("tfrac")) return false;
  if (ahead(1).symbol("{") && ahead(3).symbol("}")) {
    const Token& below = ahead(4).symbol("{") ? ahead(5) : ahead(4);
    return proper(ahead(2), below) && (!ahead(4).symbol("{") || ahead(6).symbol("}"));
  }
  // \frac45 lexes as the number 45; the group rule takes it apart.
  if (ahead(1).kind != TokenKind::kNumber) return false;
  const Rational& digits = ahead(1).value;
  if (digits > 10) return digits < 100 && digits > Rational(Integer(11 * (numerator(digits) / 10)));
  return proper(ahead(1), ahead(2).symbol("{") ? ahead(3) : ahead(2));
}

Result<Expr> Parser::product() {
  KVTOLL_TRY(Expr left, unary());
  while (true) {
    if (take_symbol("*") || take_command("cdot") || take_command("times") || take_command("ast")) {
      KVTOLL_TRY(Expr right, unary());
      left = join(ExprKind::kMultiply, std::move(left), std::move(right));
    } else if ((now().symbol("/") && ahead(1).kind != TokenKind::kWord) || now().command("div")) {
      ++at_;
      KVTOLL_TRY(Expr right, unary());
      left = make_node(ExprKind::kDivide, {std::move(left), std::move(right)});
    } else if (is_mixed_number(left)) {
      const bool negative = left.value < 0;
      KVTOLL_TRY(Expr part, primary());
      if (take_symbol("/")) {
        KVTOLL_TRY(Expr below, primary());
        part = make_node(ExprKind::kDivide, {std::move(part), std::move(below)});
      }
      left = make_node(ExprKind::kAdd,
                       {std::move(left), negative ? negate(std::move(part)) : std::move(part)});
    } else if (starts_primary() && !is_set_like(left)) {
      KVTOLL_TRY(Expr right, power());
      left = join(ExprKind::kMultiply, std::move(left), std::move(right));
    } else {
      return left;
    }
  }
}

Result<Expr> Parser::unary() {
  Deeper deeper(depth_);
  if (depth_ > kMaxDepth) return input_error("nested more than {} deep", kMaxDepth);
  if (take_symbol("+")) return unary();
  if (take_symbol("-")) {
    KVTOLL_TRY(Expr e, unary());
    return negate(std::move(e));
  }
  if (now().command("pm") || now().command("mp")) {
    const std::string sign = now().text == "pm" ? "+-" : "-+";
    ++at_;
    KVTOLL_TRY(Expr e, product());
    return make_node(ExprKind::kPlusMinus, {std::move(e)}, sign);
  }
  return power();
}

Result<Expr> Parser::power() {
  KVTOLL_TRY(Expr base, primary());
  while (true) {
    if (take_symbol("!")) {
      base = make_node(ExprKind::kFunction, {std::move(base)}, "factorial");
      continue;
    }
    if (take_command("degree") || take_command("degrees")) {
      base = make_node(ExprKind::kDegree, {std::move(base)});
      continue;
    }
    if (!now().symbol("^")) return base;
    const bool braced = ahead(1).symbol("{") && ahead(2).command("circ") && ahead(3).symbol("}");
    if (ahead(1).command("circ") || braced) {
      at_ += braced ? 4 : 2;
      base = make_node(ExprKind::kDegree, {std::move(base)});
      continue;
    }
    ++at_;
    KVTOLL_TRY(Expr raised, exponent());
    base = make_node(ExprKind::kPower, {std::move(base), std::move(raised)});
  }
}

Result<Expr> Parser::exponent() {
  Deeper deeper(depth_);
  if (depth_ > kMaxDepth) return input_error("nested more than {} deep", kMaxDepth);
  if (take_symbol("-")) {
    KVTOLL_TRY(Expr e, exponent());
    return negate(std::move(e));
  }
  return primary();
}

}  // namespace detail

Result<Expr> parse_latex(std::string_view text, const LexOptions& options) {
  if (text.empty()) return input_error("the answer is empty");
  if (text.size() > detail::kMaxText)
    return input_error("{} bytes, more than {}", text.size(), detail::kMaxText);
  KVTOLL_TRY(auto tokens, lex_latex(text, options));
  return detail::Parser(std::move(tokens)).answer();
}

}  // namespace kvtoll
