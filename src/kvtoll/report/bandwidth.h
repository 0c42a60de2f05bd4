// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How near a step comes to the memory's rate: the bytes that it must move (as the engine declares
// them) over its time, where the generation begins and where it ends. Example:
//   for (const StepRate& rate : step_rates(record)) ...   // first steps, last steps
#pragma once

#include <string>
#include <vector>

#include "kvtoll/report/document.h"
#include "kvtoll/report/record.h"

namespace kvtoll::report {

struct StepRate {
  std::string at;       // start or end
  int64_t context = 0;  // cached tokens of a sequence before the place's first step
  double tok_s = 0.0;   // of the whole batch; from untraced runs
  double gb_s = 0.0;    // declared bytes over time
};

// Times: the median of the measured runs' steps at the positions that the traced pass looked at;
// bytes: those that it declared there. Steps that flush are left out. Empty without a trace.
std::vector<StepRate> step_rates(const RunRecord& record);

// A row for each end of each record: tok/s, GB/s, % of the datasheet's and of the measured rate. No
// rows where no record has a trace with declared bytes.
TableBlock bandwidth_table(const std::vector<const RunRecord*>& records);

}  // namespace kvtoll::report
