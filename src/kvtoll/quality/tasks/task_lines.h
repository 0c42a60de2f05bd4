// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The embedded tasks as JSON lines, for whoever trains on them or wants to read them: no model
// needed. Example: KVTOLL_TRY(auto text, task_lines("arith", "train", 100, 0));
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kvtoll/core/result.h"

namespace kvtoll {

// task: arith or facts ({id, level, prompt, solution, answer} a line), or facts-statements (the
// facts as sentences, a JSON string a line). Errors: kUsage for another task, split or a count
// below 1.
Result<std::string> task_lines(std::string_view task, std::string_view split, int count,
                               uint64_t seed);

}  // namespace kvtoll
