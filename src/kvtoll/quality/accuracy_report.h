// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Accuracy records side by side: a format against the exact cache of the same evaluation, one file
// against another, one results folder against another. Example:
//   against_exact("results/accuracy/arith.scribe.int4-quanto.r128.cpu.json")
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kvtoll/quality/compare_answers.h"

namespace kvtoll {

// Every record of RESULTS/accuracy, by file name. Files that cannot be read are left out
// (validate_answers.h names them).
std::vector<std::pair<std::filesystem::path, EvalRecord>> accuracy_records(
    const std::filesystem::path& results);

// The record of the same evaluation (task, model, questions, prompt, sampling) with an exact cache
// in the same folder, compared with `file`; empty if there is none or `file` is it.
std::string against_exact(const std::filesystem::path& file);

// All formats of a results folder against the exact cache of their evaluation, one line each; empty
// if there is nothing to compare.
std::string formats_text(const std::filesystem::path& results);

// Two accuracy records, or the records of equal name of two results folders. nullopt if these are
// neither. Errors: those of compare_answers.
Result<std::optional<std::string>> compare_accuracy(const std::filesystem::path& a,
                                                    const std::filesystem::path& b);

}  // namespace kvtoll
