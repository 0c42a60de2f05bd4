// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Number literals of answers: thousands separators, decimals, repeating decimals, scientific
// notation, base subscripts. Each is one exact rational.
#pragma once

#include <optional>
#include <string_view>

#include "kvtoll/core/result.h"
#include "kvtoll/quality/grading/expression.h"

namespace kvtoll {

struct NumberText {
  Rational value;
  int decimals = -1;  // digits behind the point; -1: no point (or a repeating decimal, exact)
  size_t length = 0;  // bytes read
};

// text starts with a digit, a point or (for a based number) a letter. join: "1,234" is one number.
// Errors: kInput for more than 300 digits or an exponent beyond +-300.
Result<NumberText> read_number(std::string_view text, bool join);

// "2516_8", "1A_{16}", "204_{\text{five}}"; nullopt when it is no number with a base subscript.
std::optional<NumberText> read_based_number(std::string_view text);

}  // namespace kvtoll
