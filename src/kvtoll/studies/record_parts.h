// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// From raw timings to the fields of a record; pure functions. Example:
//   fill_timing(record, timings);  record.memory = memory_fields(split, peak, framework);
#pragma once

#include <vector>

#include "kvtoll/core/memory_tag.h"
#include "kvtoll/engine/session.h"
#include "kvtoll/profiler/availability.h"
#include "kvtoll/report/record.h"

namespace kvtoll::studies {

struct TimedRun {
  int64_t round = 0;
  Nanoseconds start;
  BatchTiming timing;
};

// runs, throughput and step_latency; record.config says batch and lengths.
void fill_timing(report::RunRecord& record, const std::vector<TimedRun>& runs);

report::Distribution distribution(std::vector<double> samples);
report::MemoryFields memory_fields(const MemorySplit& now, const MemorySplit& peak,
                                   Bytes framework);

std::string warning_text(const profiler::Warning& warning);  // "code: message (cure)"

}  // namespace kvtoll::studies
