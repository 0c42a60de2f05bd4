// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The task `arith`: a chain of two-digit additions and subtractions modulo 100, too long to do in
// the head. The solution is a scratchpad that looks each step up in the prompt by its number,
// copies it, and carries the running value to the next line, so every line needs the prompt (far
// away) and the line before (near). Example: for (const TaskItem& item :
// arith_items(TaskSplit::kTest, 500, 0)) ...
#pragma once

#include <array>
#include <vector>

#include "kvtoll/quality/tasks/task_item.h"

namespace kvtoll {

// Steps of each level, from 1: chains of about 110 to 1,500 tokens.
inline constexpr std::array<int, 5> kArithLevels = {7, 15, 33, 66, 99};

struct ArithProblem {
  int level = 1;
  int start = 0;           // 0..99
  std::vector<int> steps;  // +1..+99 or -99..-1, applied modulo 100
};

ArithProblem arith_problem(uint64_t seed, uint64_t draw, int level);
uint64_t arith_hash(
    const ArithProblem& problem);  // decides the split; the trainer computes the same
std::string arith_prompt(const ArithProblem& problem);
std::string arith_solution(
    const ArithProblem& problem);  // "<think>\n01:+38 47+38=85\n...</think>\n\\boxed{85}"
int arith_answer(const ArithProblem& problem);

// `count` items of the split, levels in turn (item i has level 1 + i % 5), all different.
std::vector<TaskItem> arith_items(TaskSplit split, int count, uint64_t seed);

}  // namespace kvtoll
