// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/units.h"

#include <array>
#include <map>

#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace {

struct Row {
  std::string_view names;  // separated by spaces
  std::string_view dimension;
  int64_t numerator, denominator = 1;
};

constexpr std::array kRows = {
    Row{"mm millimeter millimeters millimetre millimetres", "length", 1, 1000},
    Row{"cm centimeter centimeters centimetre centimetres", "length", 1, 100},
    Row{"dm decimeter decimeters", "length", 1, 10},
    Row{"meter meters metre metres", "length", 1},
    Row{"km kilometer kilometers kilometre kilometres", "length", 1000},
    Row{"inch inches in", "length", 254, 10000},
    Row{"foot feet ft", "length", 3048, 10000},
    Row{"yard yards yd yds", "length", 9144, 10000},
    Row{"mile miles mi", "length", 1609344, 1000},
    Row{"second seconds sec secs", "time", 1},
    Row{"minute minutes min mins", "time", 60},
    Row{"hour hours hr hrs", "time", 3600},
    Row{"day days", "time", 86400},
    Row{"week weeks", "time", 604800},
    Row{"month months", "month", 1},
    Row{"year years yr yrs", "month", 12},
    Row{"gram grams gm gms", "mass", 1},
    Row{"kg kilogram kilograms", "mass", 1000},
    Row{"mg milligram milligrams", "mass", 1, 1000},
    Row{"pound pounds lb lbs", "pound", 1},
    Row{"ounce ounces oz", "pound", 1, 16},
    Row{"dollar dollars usd bucks", "money", 1},
    Row{"cent cents", "money", 1, 100},
    Row{"euro euros", "euro", 1},
    Row{"degree degrees deg", "angle", 1},
    Row{"radian radians rad", "radian", 1},
    Row{"liter liters litre litres", "volume", 1},
    Row{"ml milliliter milliliters", "volume", 1, 1000},
    Row{"mph", "length/time", 1609344, 3600000},
    Row{"kph kmh", "length/time", 1000, 3600},
    Row{"unit units", "unit", 1},
    Row{"percent pct", "percent", 1},
    Row{"rpm", "rpm", 1},
};

const std::map<std::string_view, Unit, std::less<>>& table() {
  static const auto* units = [] {
    auto* map = new std::map<std::string_view, Unit, std::less<>>;
    for (const Row& row : kRows)
      for (std::string_view name : split(row.names, " "))
        (*map)[name] = Unit{std::string(row.dimension),
                            Rational(row.numerator) / Rational(row.denominator), true};
    return map;
  }();
  return *units;
}

// Single letters are units only behind \text or \mathrm; there they reach parse_unit.
std::optional<Unit> find_letter(std::string_view word) {
  if (word == "m") return Unit{"length", 1, true};
  if (word == "s") return Unit{"time", 1, true};
  if (word == "h") return Unit{"time", 3600, true};
  if (word == "g") return Unit{"mass", 1, true};
  if (word == "l") return Unit{"volume", 1, true};
  return std::nullopt;
}

Unit raise(Unit unit, int power) {
  if (power == 1) return unit;
  const Rational factor = unit.factor;
  for (int i = 1; i < power; ++i) unit.factor *= factor;
  unit.dimension += "^" + std::to_string(power);
  return unit;
}

int prefix_power(std::string_view word) {
  if (word == "square" || word == "sq") return 2;
  return word == "cubic" || word == "cu" ? 3 : 1;
}

}  // namespace

std::optional<Unit> find_unit(std::string_view word) {
  const auto it = table().find(lower_ascii(word));
  return it == table().end() ? std::nullopt : std::optional(it->second);
}

std::optional<Expr> in_smaller_unit(const Expr& larger, const Expr& smaller) {
  if (!larger.is(ExprKind::kQuantity) || !smaller.is(ExprKind::kQuantity)) return std::nullopt;
  const Unit big = parse_unit(larger.text), small = parse_unit(smaller.text);
  const bool descends =
      big.known && small.known && big.dimension == small.dimension && big.factor > small.factor;
  if (!descends) return std::nullopt;
  Expr scaled = make_node(ExprKind::kMultiply,
                          {make_number(Rational(big.factor / small.factor)), larger.args[0]});
  Expr sum = make_node(ExprKind::kAdd, {std::move(scaled), smaller.args[0]});
  return make_node(ExprKind::kQuantity, {std::move(sum)}, smaller.text);
}

Unit parse_unit(std::string_view phrase) {
  std::string spaced = lower_ascii(phrase);
  replace_all(spaced, "/", " per ");
  Unit total{"", 1, true};
  int power = 1;
  bool inverse = false;
  for (std::string_view word : split(spaced, " ")) {
    while (word.ends_with('.')) word.remove_suffix(1);
    if (word.empty() || word == "of" || word == "the") continue;
    if (word == "per" || word == "a" || word == "an") {
      inverse = true;
      continue;
    }
    if (prefix_power(word) > 1) {
      power = prefix_power(word);
      continue;
    }
    if (const size_t caret = word.find('^'); caret != word.npos) {
      if (caret + 1 < word.size() && word[caret + 1] >= '1' && word[caret + 1] <= '4')
        power = word[caret + 1] - '0';
      word = word.substr(0, caret);
    }
    auto unit = find_unit(word);
    if (!unit) unit = find_letter(word);
    if (!unit)
      unit = Unit{std::string(word.ends_with('s') ? word.substr(0, word.size() - 1) : word)};
    Unit raised = raise(*unit, power);
    total.dimension += (inverse ? "/" : total.dimension.empty() ? "" : "*") + raised.dimension;
    total.factor =
        inverse ? Rational(total.factor / raised.factor) : Rational(total.factor * raised.factor);
    total.known = total.known && unit->known;
    power = 1;
  }
  return total;
}

}  // namespace kvtoll
