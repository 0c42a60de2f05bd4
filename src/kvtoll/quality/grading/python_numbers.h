// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Numbers as Python's float() and str() see them: PRM800K's rules are stated in their terms.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kvtoll {

// "1e3", " 2.50 ", "1_000", "-inf"; nullopt where float() raises.
std::optional<double> python_float(std::string_view text);
// Within 1e-7 of a whole number (finite).
bool near_integer(double x);
// The nearest whole number in full digits.
std::string integer_text(double x);

}  // namespace kvtoll
