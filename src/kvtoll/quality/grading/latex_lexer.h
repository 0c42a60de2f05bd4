// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// LaTeX (or plain) mathematics to tokens. Numbers come out whole: thousands separators joined,
// repeating decimals, scientific notation and base subscripts resolved to an exact value.
// Example: "11,\! 111 \text{ cm}" -> number 11111, word "cm".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/quality/grading/expression.h"

namespace kvtoll {

enum class TokenKind : uint8_t {
  kNumber,    // value, decimals; text as written
  kVariable,  // text: name with subscript and primes
  kFunction,  // text: sin, log, sqrt, ... (from a command or a bare name)
  kWord,      // text: words of \text{...} or a bare word
  kCommand,   // text: name without the backslash
  kSymbol,    // text: one or two characters: + - * / ^ _ ( ) [ ] { } | , ; : ! % = < > <= >= != &
              // \\ $
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  Rational value;
  int decimals = -1;
  bool space_before = false;

  bool is(TokenKind k, std::string_view t) const { return kind == k && text == t; }
  bool symbol(std::string_view t) const { return is(TokenKind::kSymbol, t); }
  bool command(std::string_view t) const { return is(TokenKind::kCommand, t); }
};

struct LexOptions {
  // "100,200" is one number (true) or a list of two (false). "10,\!080" always is one.
  bool join_thousands = true;
};

// `text` as prepare_latex gives it. Errors: kInput naming the character that does not fit. Bounded:
// at most 1,000 tokens of at most 300 digits each.
Result<std::vector<Token>> lex_latex(std::string_view text, const LexOptions& options = {});

// Words that units, percent, "and" and "or" are made of, and any word of four letters or more: a
// run of bare letters that is not a product of variables.
bool is_bare_word(std::string_view letters);

}  // namespace kvtoll
