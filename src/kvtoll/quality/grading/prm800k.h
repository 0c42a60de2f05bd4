// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The prm800k policy: PRM800K's answer grader (Lightman et al. 2023) in our own words. Equal under
// Hendrycks' form, or equal after its own normal form, or element by element: two fractions must be
// the same string, an integer needs an integer, anything else the same value (where the original
// asks SymPy and gives up on more than two letters or large exponents).
#pragma once

#include <string>
#include <string_view>

namespace kvtoll {

std::string prm800k_normal_form(std::string_view answer);
bool prm800k_equal(std::string_view gold, std::string_view pred);

}  // namespace kvtoll
