// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The parser behind a value: percent, moduli, "million", and units, one or several.
#include <array>

#include "kvtoll/quality/grading/parser_state.h"
#include "kvtoll/quality/grading/units.h"

namespace kvtoll::detail {
namespace {

struct Scale {
  std::string_view word;
  int64_t factor;
};
constexpr std::array kScales = {Scale{"hundred", 100}, Scale{"thousand", 1000},
                                Scale{"million", 1000000}, Scale{"billion", 1000000000},
                                Scale{"trillion", 1000000000000}};

}  // namespace

// "square feet", "cm^2", "miles / hour": the words at the cursor as one phrase.
std::string Parser::unit_phrase() {
  std::string phrase;
  while (true) {
    if (at_word()) {
      phrase += (phrase.empty() || phrase.ends_with('/') ? "" : " ") + now().text;
      ++at_;
    } else if (now().symbol("^") && ahead(1).kind == TokenKind::kNumber) {
      phrase += "^" + ahead(1).value.str();
      at_ += 2;
    } else if (now().symbol("^") && ahead(1).symbol("{") && ahead(3).symbol("}")) {
      phrase += "^" + ahead(2).value.str();
      at_ += 4;
    } else if (now().symbol("/") && ahead(1).kind == TokenKind::kWord) {
      phrase += "/";
      ++at_;
    } else {
      return phrase;
    }
  }
}

Result<Expr> Parser::unit_after(Expr value) {
  if (value.is(ExprKind::kText)) return value;
  if (take_symbol("%")) value = make_node(ExprKind::kPercent, {std::move(value)});
  if (now().command("pmod") || now().command("bmod") || now().command("mod")) {
    ++at_;
    KVTOLL_TRY(const Expr modulus, group());
    return make_node(ExprKind::kQuantity, {std::move(value)}, "mod " + to_string(modulus));
  }
  if (!at_word()) return value;
  std::string phrase = unit_phrase();
  for (const Scale& scale : kScales)
    if (phrase == scale.word || phrase.starts_with(std::string(scale.word) + " ")) {
      value = make_node(ExprKind::kMultiply, {std::move(value), make_number(scale.factor)});
      phrase.erase(0, std::min(phrase.size(), scale.word.size() + 1));
      break;
    }
  if (phrase.empty()) return value;
  if (parse_unit(phrase).dimension.starts_with("percent"))
    return make_node(ExprKind::kPercent, {std::move(value)});
  if (value.is(ExprKind::kQuantity)) return value;  // "$5 dollars"
  return make_node(ExprKind::kQuantity, {std::move(value)}, std::move(phrase));
}

// "1 hour 30 minutes": a number behind a unit goes on in smaller ones.
Result<Expr> Parser::smaller_units_after(Expr value) {
  while (value.is(ExprKind::kQuantity) && now().kind == TokenKind::kNumber) {
    const size_t before = at_;
    KVTOLL_TRY(Expr number, product());
    KVTOLL_TRY(const Expr next, unit_after(std::move(number)));
    auto joined = in_smaller_unit(value, next);
    if (!joined) {
      at_ = before;
      return value;
    }
    value = *std::move(joined);
  }
  return value;
}

}  // namespace kvtoll::detail
