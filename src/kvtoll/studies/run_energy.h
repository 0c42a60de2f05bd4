// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The energy of a configuration: its measured runs as a whole, their decode steps alone, and, in a
// window of their own, prompts repeated until the counter can tell them. Example:
//   RunEnergy energy;  energy.add_run(meter.end(), timing);  ...
//   record.energy = energy.fields(record.config, idle_before, idle_after, warnings);
#pragma once

#include <vector>

#include "kvtoll/engine/session.h"
#include "kvtoll/profiler/energy.h"
#include "kvtoll/report/record.h"

namespace kvtoll::studies {

class RunEnergy {
 public:
  // window: the meter's over one generation, whose steps tell where decoding began and ended.
  void add_run(const profiler::EnergyWindow& window, const BatchTiming& timing);
  void drop_last_run();
  // window: over so many generations that ended with their first token.
  void set_prompts(const profiler::EnergyWindow& window, int64_t generations);

  // idle watts: NaN when not known. Appends what is doubtful about the whole runs.
  report::EnergyFields fields(const report::ConfigFields& config, double idle_before,
                              double idle_after, std::vector<profiler::Warning>& warnings) const;

 private:
  std::vector<profiler::EnergyWindow> runs_, decode_;
  std::vector<profiler::EnergyWindow> prompts_;  // at most one
  int64_t generations_ = 0;                      // in prompts_
  int64_t prefill_ns_ = 0;                       // of the last run
};

// Several counter windows as one: durations, joules and steps add up.
profiler::EnergyWindow joined_windows(const std::vector<profiler::EnergyWindow>& windows);

}  // namespace kvtoll::studies
