// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A file of answer pairs, graded: `kvtoll grade --pairs`. One JSON object per line with `gold` and
// `pred`; known verdicts (`equal` = lenient, `hendrycks_is_equiv` = strict, `prm800k`) are checked.
#pragma once

#include <filesystem>
#include <string>

#include "kvtoll/core/result.h"
#include "kvtoll/quality/grader.h"

namespace kvtoll {

struct PairsSummary {
  std::string lines;  // as text, or with json one object per line with `verdict`
  int pairs = 0;
  int disagreements = 0;  // verdicts that differ from the ones the file states
};

// Errors: kInput naming file and line.
Result<PairsSummary> grade_pairs(const std::filesystem::path& file, bool json);

// {"gold", "pred", "verdict": {"strict", "prm800k", "lenient"}, "gold_tree", "pred_tree", "reason"}
std::string grade_report_json(const std::string& gold, const std::string& pred,
                              const GradeReport& report);

}  // namespace kvtoll
