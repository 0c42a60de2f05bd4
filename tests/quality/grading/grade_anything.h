// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What must hold for any two texts: reading and grading them ends, does not crash, and calls an
// answer equal to itself. One body for the seeded test and for libFuzzer (scripts/fuzz_grader).
#pragma once

#include "kvtoll/core/check.h"
#include "kvtoll/quality/answer_extraction.h"
#include "kvtoll/quality/csv.h"
#include "kvtoll/quality/grader.h"

namespace kvtoll::testing {

inline void grade_anything(const std::string& gold, const std::string& pred) {
  (void)grade(gold, pred);
  const Grade self = grade(pred, pred);
  KVTOLL_CHECK(self.strict, "'{}' is not equal to itself", pred);
  (void)extract_answer(pred, false);
  (void)extract_letter(pred);
  (void)parse_csv(pred, "fuzz");
}

}  // namespace kvtoll::testing
