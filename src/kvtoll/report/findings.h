// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Sentences computed from records; a difference inside the spread is said to be none.
#pragma once

#include <string>
#include <vector>

#include "kvtoll/report/series.h"

namespace kvtoll::report {

// Speed, memory, where the time goes, flushes; each for every series and format.
std::vector<std::string> findings(const std::vector<Series>& all);

// Speed of every other path of a GPU against Hugging Face's, where both measured a configuration.
std::vector<std::string> path_findings(const ResultSet& set);

// What the reader should distrust: warnings of the records with the number that carry them, mixed
// revisions or machines, refused configurations.
std::vector<std::string> cautions(const ResultSet& set);

}  // namespace kvtoll::report
