// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Where a record was made: processor, memory, driver, source revision, command, bandwidth.
#pragma once

#include <string>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/report/record.h"

namespace kvtoll::studies {

// What does not change during a study. backend: "cpu" or "cuda".
report::EnvironmentFields host_environment(const std::string& backend,
                                           const std::vector<std::string>& argv);

std::string utc_now();  // "2026-01-31T12:00:00Z"

}  // namespace kvtoll::studies
