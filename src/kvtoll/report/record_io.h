// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Records to and from files. A file that is there is whole: it was written aside and renamed.
// Example: KVTOLL_TRY_VOID(write_record("results/raw", record));
#pragma once

#include <filesystem>
#include <string>

#include "kvtoll/core/result.h"
#include "kvtoll/report/record.h"

namespace kvtoll::report {

std::string record_text(const RunRecord& record);  // JSON, one line per top-level field

// Errors: kInput naming `where`: not JSON (with the place), another schema version, a missing or
// mistyped field.
Result<RunRecord> parse_record(const std::string& text, const std::string& where);
Result<RunRecord> read_record(const std::filesystem::path& path);

// Writes folder/record_file_name(...). Errors: kMachine (no permission, full disk); nothing half
// written.
Result<std::filesystem::path> write_record(const std::filesystem::path& folder,
                                           const RunRecord& record);

}  // namespace kvtoll::report
