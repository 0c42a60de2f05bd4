// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Questions from files the user brings: MATH (MATH-500's JSONL, or the original folders of one JSON
// per problem) and MMLU (the official folders of CSV, or JSONL). docs/evaluating.md says where
// from.
#pragma once

#include <filesystem>

#include "kvtoll/core/result.h"
#include "kvtoll/quality/question.h"

namespace kvtoll {

// path: a .jsonl with problem, answer (or solution) and, if there, subject, level, unique_id; or a
// folder with one JSON file per problem (problem, solution, level "Level 5", type) at any depth.
// Errors: kInput naming file and line or field.
Result<Dataset> load_math(const std::filesystem::path& path);

// path: a folder with test/SUBJECT_test.csv and dev/SUBJECT_dev.csv (question, A, B, C, D, letter),
// or a .jsonl of {id, subject, question, choices, answer}, with a folder dev/ beside it for the
// worked examples. `split`: "test" or "val".
Result<Dataset> load_mmlu(const std::filesystem::path& path, const std::string& split = "test");

}  // namespace kvtoll
