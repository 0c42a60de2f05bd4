// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grading/expression.h"

#include <algorithm>
#include <string_view>

namespace kvtoll {
namespace {

std::string_view head_of(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kAdd:
      return "+";
    case ExprKind::kMultiply:
      return "*";
    case ExprKind::kDivide:
      return "/";
    case ExprKind::kPower:
      return "^";
    case ExprKind::kNegate:
      return "-";
    case ExprKind::kPlusMinus:
    case ExprKind::kFunction:
      return expr.text;
    case ExprKind::kDegree:
      return "degrees";
    case ExprKind::kPercent:
      return "percent";
    case ExprKind::kQuantity:
      return "quantity";
    case ExprKind::kTuple:
      return "tuple";
    case ExprKind::kSet:
      return "set";
    case ExprKind::kList:
      return "list";
    case ExprKind::kMatrix:
      return "matrix";
    case ExprKind::kRelation:
      return "relation";
    case ExprKind::kUnion:
      return "union";
    case ExprKind::kIntersection:
      return "intersection";
    case ExprKind::kDifference:
      return "without";
    case ExprKind::kRatio:
      return "ratio";
    default:
      return "";
  }
}

bool shows_text(ExprKind kind) {
  return kind == ExprKind::kTuple || kind == ExprKind::kMatrix || kind == ExprKind::kRelation ||
         kind == ExprKind::kQuantity;
}

void print(const Expr& expr, std::string& out) {
  switch (expr.kind) {
    case ExprKind::kNumber:
      out += expr.value.str();
      return;
    case ExprKind::kInfinity:
      out += "infinity";
      return;
    case ExprKind::kVariable:
    case ExprKind::kConstant:
      out += expr.text;
      return;
    case ExprKind::kText:
      out.append("\"").append(expr.text).append("\"");
      return;
    default:
      break;
  }
  out.append("(").append(head_of(expr));
  if (shows_text(expr.kind)) out.append(" ").append(expr.text);
  for (const Expr& arg : expr.args) {
    out += ' ';
    print(arg, out);
  }
  out += ')';
}

void collect_variables(const Expr& expr, std::vector<std::string>& names) {
  if (expr.is(ExprKind::kVariable)) names.push_back(expr.text);
  for (const Expr& arg : expr.args) collect_variables(arg, names);
}

}  // namespace

Expr make_number(Rational value) {
  Expr e;
  e.value = std::move(value);
  return e;
}

Expr make_node(ExprKind kind, std::vector<Expr> args, std::string text) {
  Expr e;
  e.kind = kind;
  e.args = std::move(args);
  e.text = std::move(text);
  return e;
}

std::string to_string(const Expr& expr) {
  std::string out;
  print(expr, out);
  return out;
}

std::string mirrored_relation(std::string_view op) {
  if (op.starts_with('<')) return ">" + std::string(op.substr(1));
  if (op.starts_with('>')) return "<" + std::string(op.substr(1));
  return std::string(op);
}

int64_t node_count(const Expr& expr) {
  int64_t n = 1;
  for (const Expr& arg : expr.args) n += node_count(arg);
  return n;
}

std::vector<std::string> variables_of(const Expr& expr) {
  std::vector<std::string> names;
  collect_variables(expr, names);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace kvtoll
