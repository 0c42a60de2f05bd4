// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/tasks/arith.h"

#include <fmt/format.h>

#include <cstdlib>
#include <iterator>

#include "kvtoll/core/rng.h"

namespace kvtoll {
namespace {

int apply(int value, int step) { return (value + step + 100) % 100; }
char sign(int step) { return step < 0 ? '-' : '+'; }

}  // namespace

ArithProblem arith_problem(uint64_t seed, uint64_t draw, int level) {
  Rng rng(seed, mix64(draw));
  ArithProblem problem{level, static_cast<int>(rng.below(100)), {}};
  for (int i = 0; i < kArithLevels[level - 1]; ++i) {
    const int size = static_cast<int>(rng.between(1, 99));
    problem.steps.push_back(rng.below(2) == 0 ? size : -size);
  }
  return problem;
}

uint64_t arith_hash(const ArithProblem& problem) {
  uint64_t hash = mix64(static_cast<uint64_t>(problem.start));
  for (int step : problem.steps) hash = mix64(hash ^ static_cast<uint64_t>(step + 100));
  return hash;
}

std::string arith_prompt(const ArithProblem& problem) {
  std::string text =
      fmt::format("Start with {:02} and apply the steps modulo 100.\n", problem.start);
  for (size_t i = 0; i < problem.steps.size(); ++i)
    fmt::format_to(std::back_inserter(text), "{:02}:{}{:02}{}", i + 1, sign(problem.steps[i]),
                   std::abs(problem.steps[i]), i + 1 < problem.steps.size() ? " " : "");
  return text;
}

std::string arith_solution(const ArithProblem& problem) {
  std::string text = "<think>\n";
  int value = problem.start;
  for (size_t i = 0; i < problem.steps.size(); ++i) {
    const int step = problem.steps[i];
    const int next = apply(value, step);
    fmt::format_to(std::back_inserter(text), "{0:02}:{1}{2:02} {3:02}{1}{2:02}={4:02}\n", i + 1,
                   sign(step), std::abs(step), value, next);
    value = next;
  }
  return text + fmt::format("</think>\n\\boxed{{{:02}}}", value);
}

int arith_answer(const ArithProblem& problem) {
  int value = problem.start;
  for (int step : problem.steps) value = apply(value, step);
  return value;
}

std::vector<TaskItem> arith_items(TaskSplit split, int count, uint64_t seed) {
  std::vector<TaskItem> items;
  for (uint64_t draw = 0; static_cast<int>(items.size()) < count; ++draw) {
    const int index = static_cast<int>(items.size());
    const int level = 1 + index % static_cast<int>(kArithLevels.size());
    const ArithProblem problem = arith_problem(seed, draw, level);
    if (split_of_hash(arith_hash(problem)) != split) continue;
    items.push_back({fmt::format("arith-{}-{}-{}", task_split_name(split), seed, index), level,
                     arith_prompt(problem), arith_solution(problem),
                     fmt::format("{:02}", arith_answer(problem))});
  }
  return items;
}

}  // namespace kvtoll
