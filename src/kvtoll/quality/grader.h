// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Whether an answer equals the reference answer, under three named policies.
//   strict   string equality after Hendrycks' normal form (the MATH paper's is_equiv, gaps
//   included) prm800k  the rules of PRM800K's grader: unreduced fractions and non-integers for
//   integers are wrong lenient  the same value in any notation
// Example: grade("\\frac{1}{2}", "0.50").lenient
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace kvtoll {

enum class GradePolicy { kStrict, kPrm800k, kLenient };
inline constexpr std::array<std::string_view, 3> kGradePolicyNames = {"strict", "prm800k",
                                                                      "lenient"};

struct Grade {
  bool strict = false, prm800k = false, lenient = false;

  bool by(GradePolicy policy) const {
    return policy == GradePolicy::kStrict    ? strict
           : policy == GradePolicy::kPrm800k ? prm800k
                                             : lenient;
  }
};
Grade grade(std::string_view gold, std::string_view pred);

// The same with what each side was read as, for `kvtoll grade`.
struct GradeReport {
  Grade grade;
  std::string gold_tree, pred_tree;        // lenient: prefix form
  std::string gold_strict, pred_strict;    // Hendrycks' normal forms
  std::string gold_prm800k, pred_prm800k;  // PRM800K's normal forms
  std::string reason;                      // of the lenient verdict
};
GradeReport explain_grade(std::string_view gold, std::string_view pred);

}  // namespace kvtoll
