// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One question of an embedded task, and the split it belongs to. Items are a pure function of
// (split, seed, index).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvtoll {

// A question belongs to exactly one split, by a hash of its content: 1/64 test, 1/64 validation,
// the rest train.
enum class TaskSplit : uint8_t { kTrain, kValidation, kTest };

constexpr TaskSplit split_of_hash(uint64_t hash) {
  return hash % 64 == 0   ? TaskSplit::kTest
         : hash % 64 == 1 ? TaskSplit::kValidation
                          : TaskSplit::kTrain;
}
std::string_view task_split_name(TaskSplit split);  // train, validation, test
std::optional<TaskSplit> parse_task_split(std::string_view name);

struct TaskItem {
  std::string id;        // "arith-test-0-17": task, split, seed, index
  int level = 0;         // difficulty, from 1; 0 where the task has none
  std::string prompt;    // the user's message, without chat markup
  std::string solution;  // the assistant's whole reply that training shows, without end-of-turn
  std::string answer;    // what is graded: "70" or "B"
};

}  // namespace kvtoll
