// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// `kvtoll report`: summary.csv, figures/ (SVG, PNG and the scripts that drew them), report.md and
// one self-contained report.html. Example: KVTOLL_TRY(ReportFiles f, write_report({"results"},
// "results"));
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kvtoll/core/result.h"

namespace kvtoll::report {

struct ReportFiles {
  std::filesystem::path csv, markdown, html;
  std::vector<std::string> notes;  // what could not be drawn, and why
};

// Errors: those of read_results; kMachine when a file cannot be written.
Result<ReportFiles> write_report(const std::vector<std::filesystem::path>& places,
                                 const std::filesystem::path& out);

// The summary and the accuracy tables of a folder, for a terminal.
Result<std::string> terminal_report(const std::filesystem::path& results);

}  // namespace kvtoll::report
