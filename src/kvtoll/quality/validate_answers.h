// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What can be wrong with an accuracy file although it is well-formed: missing and duplicate
// answers, counts that do not match the answers, verdicts that grading again does not give.
#pragma once

#include <string>
#include <vector>

#include "kvtoll/quality/eval_record.h"

namespace kvtoll {

// One line per problem, each naming file and question; empty: the file is sound. A file that cannot
// be read is a problem, too.
std::vector<std::string> validate_eval_file(const std::filesystem::path& file);
// The same for every *.json of a folder, and across them: one question must have one gold answer,
// and one prompt wherever task, style and model agree. Left-over checkpoints are named.
struct AnswerValidation {
  size_t records = 0;
  std::vector<std::string> problems;
};
AnswerValidation validate_eval_folder(const std::filesystem::path& folder);

}  // namespace kvtoll
