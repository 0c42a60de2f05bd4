// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The accuracy table of a report: a row per model and task, a column per KV format, from
// RESULTS/accuracy/*.json; beside it the records that ship with the project.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kvtoll/report/document.h"

namespace kvtoll::report {

// places: results folders. references: folders of shipped records (core/shipped.h finds them).
// Nothing when there is no record. A file that cannot be read becomes a sentence of the section.
std::optional<Section> accuracy_section(const std::vector<std::filesystem::path>& places,
                                        const std::vector<std::string>& references);

}  // namespace kvtoll::report
