// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One row per configuration: summary.csv, and the table that `kvtoll run` prints.
// Example: KVTOLL_TRY_VOID(write_file_atomic("summary.csv", summary_csv(set)));
#pragma once

#include <string>

#include "kvtoll/report/results.h"

namespace kvtoll::report {

// A header line and one line per record, RFC 4180.
std::string summary_csv(const ResultSet& set);

// For a terminal: speed, difference to the unquantized cache, step latency, memory, main times.
std::string summary_text(const ResultSet& set);

std::string csv_field(std::string_view text);  // quoted where it must be

// "n256 r16", with batch and prompt where they are not the defaults.
std::string short_label(const ConfigFields& config);
std::string mean_sd_text(const Distribution& d);  // "812.3 ± 4.1" (95 %)

}  // namespace kvtoll::report
