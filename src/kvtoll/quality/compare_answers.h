// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Two evaluations of the same questions, paired: which answers changed, whether the change is more
// than noise. McNemar's exact test on the questions that only one got right; a bootstrap interval
// of the difference. Example: KVTOLL_TRY(auto c, compare_answers(fp16, int4));  c.text()
#pragma once

#include <string>

#include "kvtoll/quality/eval_record.h"

namespace kvtoll {

struct AnswerComparison {
  int64_t paired = 0;              // questions (and samples) that both answered
  int64_t only_a = 0, only_b = 0;  // in one record alone: not compared
  int64_t both_right = 0, a_right = 0, b_right = 0, both_wrong = 0;  // a_right: a alone
  int64_t same_output = 0;                                           // character for character
  double difference = 0.0;  // accuracy of b - accuracy of a, on the pairs
  Interval ci95;            // bootstrap over questions
  double p = 1.0;           // McNemar, exact, two-sided

  bool significant() const { return p < 0.05; }
  // "69.0 % -> 67.0 % (-2.0 points [-9.0, +5.0], p = 0.79): no difference beyond noise"
  std::string text() const;
};

// Errors: kInput when the records are not about the same task or prompts (a prompt hash differs).
Result<AnswerComparison> compare_answers(const EvalRecord& a, const EvalRecord& b,
                                         GradePolicy policy = GradePolicy::kLenient);

}  // namespace kvtoll
