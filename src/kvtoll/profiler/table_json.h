// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The kernel table as JSON: the fields `kernels`, `categories`, `parts`, `trace` of a record, one
// spelling for records and `kvtoll import --json`.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "kvtoll/profiler/kernel_table.h"

namespace kvtoll::profiler {

// {"kernels": [{name, category, part, calls, time_ns, resident_ns, mean_ns, p50_ns, p99_ns,
// declared_bytes,
//   gb_s, peak_fraction, dram_bytes, dram_over_declared}], "categories": {NAME: {time_ns, share}},
//  "parts": {NAME: {time_ns, share, calls}}, "trace": {window_ns, busy_ns, overlap_ns, steps,
//   launches, launches_per_step, host_api_ns, host_api_calls, untimed, dropped, unmatched,
//   unknown_kernels, notes}}. Fields that were not measured are null.
nlohmann::ordered_json table_json(const KernelTable& table, double peak_gb_s = 0.0);

}  // namespace kvtoll::profiler
