// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/tasks/task_lines.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "kvtoll/quality/tasks/arith.h"
#include "kvtoll/quality/tasks/facts.h"

namespace kvtoll {
namespace {

std::string statement_lines(int count) {
  std::string text;
  for (int i = 0; i < std::min(count, kFactCountries * kFactRelations); ++i)
    text += nlohmann::json(fact_statement(i / kFactRelations, i % kFactRelations)).dump() + "\n";
  return text;
}

}  // namespace

Result<std::string> task_lines(std::string_view task, std::string_view split, int count,
                               uint64_t seed) {
  const auto wanted = parse_task_split(split);
  if (!wanted) return usage_error("unknown split '{}': train, validation, test", split);
  if (count < 1) return usage_error("--print takes the number of questions, at least 1");
  if (task == "facts-statements") return statement_lines(count);
  if (task != "arith" && task != "facts")
    return usage_error("'{}' cannot be printed: arith, facts, facts-statements", task);
  std::string text;
  for (const TaskItem& item :
       task == "arith" ? arith_items(*wanted, count, seed) : facts_items(*wanted, count, seed)) {
    const nlohmann::json line = {{"id", item.id},
                                 {"level", item.level},
                                 {"prompt", item.prompt},
                                 {"solution", item.solution},
                                 {"answer", item.answer}};
    text += line.dump() + "\n";
  }
  return text;
}

}  // namespace kvtoll
