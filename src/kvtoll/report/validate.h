// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// `kvtoll validate DIR`: is everything there that the studies promised, and is it what the schema
// says? Example: KVTOLL_TRY(Validation v, validate_results("kvtoll-results"));  v.problems.empty()
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kvtoll/core/result.h"

namespace kvtoll::report {

struct Validation {
  size_t records = 0, studies = 0;
  std::vector<std::string> problems;  // each names its file
  std::vector<std::string> notes;     // oom, unsupported: results, not problems
};

// Errors: kInput when the folder cannot be read at all.
Result<Validation> validate_results(const std::filesystem::path& results);

}  // namespace kvtoll::report
