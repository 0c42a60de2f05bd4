// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The parser's class, shared by its parts: lists, relations, sums and products in
// latex_parser.cc, units behind a value in latex_units.cc, primaries (brackets, fractions,
// functions, matrices) in latex_primary.cc.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/quality/grading/latex_parser.h"

namespace kvtoll::detail {

inline constexpr int kMaxDepth = 60;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  Result<Expr> answer();  // the whole input

 private:
  const Token& now() const { return tokens_[at_]; }
  const Token& ahead(size_t n) const { return tokens_[std::min(at_ + n, tokens_.size() - 1)]; }
  bool done() const { return now().kind == TokenKind::kEnd; }
  bool take_symbol(std::string_view text);
  bool take_command(std::string_view text);
  tl::unexpected<Error> unexpected(std::string_view wanted) const;

  Result<Expr> list();
  Result<Expr> item();
  Result<Expr> set();
  Result<Expr> ratio();
  Result<Expr> sum();
  Result<Expr> product();
  Result<Expr> unary();
  Result<Expr> power();
  Result<Expr> exponent();
  Result<Expr> unit_after(Expr value);
  Result<Expr> smaller_units_after(Expr value);
  std::string unit_phrase();
  bool at_word() const;  // words that are not "and", "or"
  bool at_separator(std::string& name) const;
  std::string relation_operator(size_t& tokens) const;
  bool starts_primary() const;
  bool is_mixed_number(const Expr& whole) const;

  Result<Expr> primary();
  Result<Expr> command_primary();
  Result<Expr> bracketed();
  Result<Expr> braces(bool escaped);
  Result<Expr> bars();
  Result<Expr> fraction();
  Result<Expr> square_root();
  Result<Expr> function();
  Result<Expr> function_argument();
  Result<Expr> matrix();
  Result<Expr> group();  // {...} or one token, as after \frac
  Result<Expr> until(std::string_view close, std::string_view name);
  Expr words();

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int bars_ = 0;  // open |...|
};

// Counts nesting for the length of a scope.
class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  int& depth_;
};

}  // namespace kvtoll::detail
