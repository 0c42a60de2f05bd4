// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/quality/grade_pairs.h"
#include "kvtoll/quality/grader.h"

namespace kvtoll::cli {
namespace {

struct GradeArguments {
  std::string gold, pred, pairs, policy = "lenient";
  bool json = false;
};

void print_side(const char* name, const std::string& tree, const std::string& strict,
                const std::string& prm800k) {
  fmt::print("{}\n  tree     {}\n  strict   {}\n  prm800k  {}\n", name, tree, strict, prm800k);
}

ExitCode grade_one(const GradeArguments& arguments, GradePolicy policy) {
  const GradeReport report = explain_grade(arguments.gold, arguments.pred);
  if (arguments.json) {
    fmt::print("{}\n", grade_report_json(arguments.gold, arguments.pred, report));
  } else {
    print_side("gold", report.gold_tree, report.gold_strict, report.gold_prm800k);
    print_side("pred", report.pred_tree, report.pred_strict, report.pred_prm800k);
    for (size_t i = 0; i < kGradePolicyNames.size(); ++i)
      fmt::print("{:<8} {}\n", kGradePolicyNames[i],
                 report.grade.by(static_cast<GradePolicy>(i)) ? "equal" : "not equal");
    fmt::print("why      {}\n", report.reason);
  }
  return report.grade.by(policy) ? 0 : 1;
}

ExitCode grade_command(const GradeArguments& arguments) {
  GradePolicy policy = GradePolicy::kLenient;
  for (size_t i = 0; i < kGradePolicyNames.size(); ++i)
    if (kGradePolicyNames[i] == arguments.policy) policy = static_cast<GradePolicy>(i);
  if (arguments.pairs.empty()) return grade_one(arguments, policy);
  const auto summary = grade_pairs(arguments.pairs, arguments.json);
  if (!summary) return fail(summary.error());
  fmt::print("{}", summary->lines);
  return summary->disagreements == 0 ? 0 : 1;
}

}  // namespace

void setup_grade(CLI::App& app, ExitCode& exit_code) {
  auto arguments = std::make_shared<GradeArguments>();
  auto* gold = app.add_option("GOLD", arguments->gold, "the reference answer, LaTeX or plain");
  auto* pred = app.add_option("PRED", arguments->pred, "the answer to grade")->needs(gold);
  auto* pairs = app.add_option("--pairs", arguments->pairs,
                               "a JSONL file of {gold, pred}, graded line by line; where a line "
                               "has `equal`, `hendrycks_is_equiv` or `prm800k`, they are checked");
  pairs->excludes(gold)->excludes(pred);
  app.add_flag("--json", arguments->json, "one JSON object per pair");
  app.add_option("--policy", arguments->policy, "whose verdict is the exit code")
      ->check(CLI::IsMember({"strict", "prm800k", "lenient"}))
      ->capture_default_str();
  app.callback([arguments, gold, pred, pairs, &exit_code] {
    if (pairs->count() == 0 && (gold->count() == 0 || pred->count() == 0))
      exit_code = fail({ErrorKind::kUsage, "give GOLD and PRED, or --pairs FILE.jsonl"});
    else
      exit_code = grade_command(*arguments);
  });
}

}  // namespace kvtoll::cli
