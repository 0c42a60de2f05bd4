// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The strict policy: string equality after the normal form of the MATH dataset's own is_equiv
// (Hendrycks et al. 2021), with its gaps. Characters are Unicode code points, as there.
// Example: hendrycks_equal("\\tfrac83", "\\frac{8}{3}") is true; ("1000", "1000.0") is not.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kvtoll {

// nullopt where the original raises an exception (it then compares the raw strings).
std::optional<std::string> hendrycks_normal_form(std::string_view answer);
bool hendrycks_equal(std::string_view a, std::string_view b);

}  // namespace kvtoll
