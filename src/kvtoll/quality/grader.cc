// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grader.h"

#include "kvtoll/quality/grading/hendrycks.h"
#include "kvtoll/quality/grading/lenient.h"
#include "kvtoll/quality/grading/prm800k.h"

namespace kvtoll {
namespace {

// Longer texts are no answers; they are compared as strings only.
constexpr size_t kMaxAnswer = 8000;

}  // namespace

Grade grade(std::string_view gold, std::string_view pred) {
  return explain_grade(gold, pred).grade;
}

GradeReport explain_grade(std::string_view gold, std::string_view pred) {
  GradeReport report;
  if (gold.size() > kMaxAnswer || pred.size() > kMaxAnswer) {
    const bool same = gold == pred;
    report.grade = {same, same, same};
    report.reason = "too long to read; compared as text";
    return report;
  }
  const LenientVerdict lenient = lenient_verdict(gold, pred);
  report.grade = {hendrycks_equal(gold, pred), prm800k_equal(gold, pred), lenient.equal};
  report.gold_tree = lenient.gold_tree;
  report.pred_tree = lenient.pred_tree;
  report.reason = lenient.reason;
  report.gold_strict = hendrycks_normal_form(gold).value_or(std::string(gold));
  report.pred_strict = hendrycks_normal_form(pred).value_or(std::string(pred));
  report.gold_prm800k = prm800k_normal_form(gold);
  report.pred_prm800k = prm800k_normal_form(pred);
  return report;
}

}  // namespace kvtoll
