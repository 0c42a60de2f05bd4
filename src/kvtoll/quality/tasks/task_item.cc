// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/tasks/task_item.h"

namespace kvtoll {
namespace {
constexpr std::string_view kNames[] = {"train", "validation", "test"};
}  // namespace

std::string_view task_split_name(TaskSplit split) { return kNames[static_cast<int>(split)]; }

std::optional<TaskSplit> parse_task_split(std::string_view name) {
  for (int i = 0; i < 3; ++i)
    if (name == kNames[i]) return static_cast<TaskSplit>(i);
  return std::nullopt;
}

}  // namespace kvtoll
