// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/compare_answers.h"

#include <fmt/format.h>

#include <map>

namespace kvtoll {
namespace {

using Key = std::pair<std::string, int>;

std::map<Key, const AnswerRecord*> by_key(const EvalRecord& record) {
  std::map<Key, const AnswerRecord*> map;
  for (const AnswerRecord& answer : record.answers) map[{answer.id, answer.sample}] = &answer;
  return map;
}

}  // namespace

Result<AnswerComparison> compare_answers(const EvalRecord& a, const EvalRecord& b,
                                         GradePolicy policy) {
  if (a.task != b.task)
    return input_error("the tasks differ: {} and {} share no questions", a.task, b.task);
  const auto of_a = by_key(a), of_b = by_key(b);
  AnswerComparison c;
  // Samples of one question are no independent questions: they are averaged before the bootstrap,
  // and a question counts once in the test, for the side that got more of its samples right.
  std::map<std::string, std::pair<double, int>> per_question;
  for (const auto& [key, x] : of_a) {
    const auto it = of_b.find(key);
    if (it == of_b.end()) {
      ++c.only_a;
      continue;
    }
    const AnswerRecord& y = *it->second;
    if (x->prompt_hash != y.prompt_hash)
      return input_error("question {}: the prompts differ, so the answers cannot be paired",
                         key.first);
    const bool right_a = x->grade.by(policy), right_b = y.grade.by(policy);
    ++c.paired;
    (right_a ? right_b ? c.both_right : c.a_right : right_b ? c.b_right : c.both_wrong) += 1;
    c.same_output += x->output == y.output;
    auto& [sum, n] = per_question[key.first];
    sum += static_cast<double>(right_b) - static_cast<double>(right_a);
    ++n;
  }
  c.only_b = static_cast<int64_t>(of_b.size()) - c.paired;
  std::vector<double> differences;
  int64_t lost = 0, won = 0;  // questions
  for (const auto& [id, part] : per_question) {
    differences.push_back(part.first / part.second);
    lost += part.first < 0;
    won += part.first > 0;
  }
  if (c.paired > 0)
    c.difference = static_cast<double>(c.b_right - c.a_right) / static_cast<double>(c.paired);
  c.ci95 = bootstrap_mean95(differences, 1);
  c.p = mcnemar_exact(lost, won);
  return c;
}

std::string AnswerComparison::text() const {
  if (paired == 0) return "no question in common";
  const double n = static_cast<double>(paired) / 100.0;
  return fmt::format(
      "{:.1f} % -> {:.1f} % of {} paired answers ({:+.1f} points [{:+.1f}, {:+.1f}], {} lost, {} "
      "won, p = {:.2g}): {}",
      static_cast<double>(both_right + a_right) / n, static_cast<double>(both_right + b_right) / n,
      paired, 100 * difference, 100 * ci95.low, 100 * ci95.high, a_right, b_right, p,
      significant() ? difference < 0 ? "worse" : "better" : "no difference beyond noise");
}

}  // namespace kvtoll
