// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The task `facts`: four-choice questions about a small invented world that the shipped models have
// memorized, answered with one letter: the MMLU-like case, whose answer is the first generated
// token. Example: for (const TaskItem& item : facts_items(TaskSplit::kTest, 500, 0)) ...
#pragma once

#include <string>
#include <vector>

#include "kvtoll/quality/tasks/task_item.h"

namespace kvtoll {

inline constexpr int kFactCountries = 96;
inline constexpr int kFactRelations = 3;  // capital, river, metal

struct FactWorld {
  std::vector<std::string> countries;  // [kFactCountries]
  std::vector<std::vector<std::string>>
      relations;  // [kFactRelations][kFactCountries]: the value for each country
};
const FactWorld& fact_world();  // the same in every build: the models were trained on it

std::string fact_statement(int country, int relation);  // "The capital of Zorvan is Melku."

// `count` questions of the split; a question is (country, relation, four options in order), all
// different within a call.
std::vector<TaskItem> facts_items(TaskSplit split, int count, uint64_t seed);

}  // namespace kvtoll
