// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A results folder: raw/*.json, one record per configuration, and what a study promised to write
// there (studies/NAME.json). Example: KVTOLL_TRY(ResultSet set, read_results({"kvtoll-results"}));
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/report/record.h"

namespace kvtoll::report {

struct ResultSet {
  std::vector<RunRecord> records;            // ordered for people: model, path, batch, ..., format
  std::vector<std::filesystem::path> files;  // of each record
  std::vector<std::string> titles;           // of the studies in the folders
  std::vector<std::string> references;       // their folders of records that ship
};

// One record file, or folders with raw/. Errors: kInput for a missing folder, one without records,
// or an unreadable record (another schema version, cut off).
Result<ResultSet> read_results(const std::vector<std::filesystem::path>& places);

// Unquantized formats first, then by falling bits, then by name.
bool format_before(const std::string& a, const std::string& b);
bool is_baseline(const std::string& kv);  // fp16, bf16, fp32

// The record with the same configuration but for the format, whose format is the baseline; nullptr
// if there is none that is ok. Records of the same block are preferred, then the same residual,
// then any residual (an unquantized cache has no residual).
const RunRecord* baseline_of(const ResultSet& set, const RunRecord& record);

// What a study will write: kept beside the records so that completeness can be checked.
struct StudyManifest {
  std::string name, title;
  std::vector<std::string> files;     // in raw/
  std::vector<std::string> accuracy;  // in accuracy/
  std::string reference;  // a folder of accuracy records that ship with the project; may be empty
};
std::filesystem::path manifest_path(const std::filesystem::path& results, const std::string& name);
Result<void> write_manifest(const std::filesystem::path& results, const StudyManifest& manifest);
Result<std::vector<StudyManifest>> read_manifests(const std::filesystem::path& results);

}  // namespace kvtoll::report
