// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Answers to trees: recursive descent over the tokens of latex_lexer.h. Grammar, loosest first:
//   answer   = item {("," | ";" | and | or) item}            list
//   item     = set {("=" | "<" | "\in" | ...) set}           relation chain
//   set      = ratio {("\cup" | "\cap" | "\setminus") ratio}
//   ratio    = sum {":" sum}
//   sum      = product {("+" | "-" | "\pm") product} [unit words | "%"]
//   product  = unary {("*" | "/" | juxtaposition) unary}     mixed numbers are sums
//   unary    = {"-" | "+" | "\pm"} postfix ["^" exponent]
// Example: parse_latex("x \\in [-2,7]") gives (relation in x (tuple [] (- 2) 7)).
#pragma once

#include <string_view>

#include "kvtoll/core/result.h"
#include "kvtoll/quality/grading/expression.h"
#include "kvtoll/quality/grading/latex_lexer.h"

namespace kvtoll {

// text: as prepare_latex gives it, at most 4,000 bytes. Errors: kInput with the token that does not
// fit, or the bound that was hit (nesting depth 60).
Result<Expr> parse_latex(std::string_view text, const LexOptions& options = {});

}  // namespace kvtoll
