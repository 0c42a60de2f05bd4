// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The accuracy table of a report, from RESULTS/accuracy/*.json.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "kvtoll/report/document.h"

namespace kvtoll::report {

// Rows by model, format and task; nothing when no folder has accuracy records. A file that cannot
// be read becomes a sentence of the section.
std::optional<Section> accuracy_section(const std::vector<std::filesystem::path>& places);

}  // namespace kvtoll::report
