// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One question of a task, whatever its source: a mathematical problem with a LaTeX answer, or a
// choice question with a letter.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kvtoll {

struct Question {
  std::string id;                    // unique within the task
  std::string group;                 // subject; strata of a subset
  int level = 0;                     // difficulty, 0 where the task has none
  std::string text;                  // the problem or the question
  std::vector<std::string> choices;  // A, B, C, D of choice questions, else empty
  std::string answer;                // LaTeX, a number or a letter
  std::string solution;              // the whole expected reply where the task knows it, else empty
};

// A choice question's worked examples, by subject (MMLU's dev rows, in file order).
struct Examples {
  std::vector<std::pair<std::string, std::vector<Question>>> by_group;
  const std::vector<Question>* find(std::string_view group) const;
};

struct Dataset {
  std::vector<Question> questions;
  Examples examples;
};

// A stratified sample without replacement: every (group, level) gets its share of `count`, largest
// remainders first; which questions is decided by `seed`. Order of the source is kept. count <= 0
// or not below the size: everything.
std::vector<Question> stratified_subset(const std::vector<Question>& all, int count, uint64_t seed);

}  // namespace kvtoll
