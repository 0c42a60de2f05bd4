// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Measures one block: warm-ups and runs of its formats in turn (A B C A B C), then a traced pass of
// each. Example: KVTOLL_TRY(auto records, measure_block(block, base, backend, ...));
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/profiler/clock_guard.h"
#include "kvtoll/profiler/dram_tracer.h"
#include "kvtoll/profiler/energy.h"
#include "kvtoll/profiler/kernel_tracer.h"
#include "kvtoll/profiler/memory_watch.h"
#include "kvtoll/report/record.h"
#include "kvtoll/studies/matrix.h"
#include "kvtoll/studies/progress.h"

namespace kvtoll::studies {

// Made once per study, before any backend takes memory.
struct Instruments {
  std::unique_ptr<profiler::KernelTracer> tracer;
  std::unique_ptr<profiler::EnergyMeter> meter;
  std::unique_ptr<profiler::ClockGuard> guard;
  std::unique_ptr<profiler::MemoryWatch> memory;
  std::unique_ptr<profiler::DramTracer> dram;  // null on a CPU
  double idle_watts = 0.0;  // after the last block, which is before the next; 0: none yet
};
Instruments make_instruments(const std::string& backend, int device);

struct BlockSetup {
  const Block& block;
  const report::RunRecord& base;  // environment, protocol and config but for what a format decides
  Backend& backend;
  std::span<const int32_t> prompt;
  Instruments& instruments;
  Progress& progress;
  std::function<bool()> interrupted;  // asked after every step; may be empty
  std::filesystem::path traces;       // folder for the traced passes' events; empty: not kept
  bool prefill_energy = false;        // prompts in an energy window of their own
};

// Steps of one configuration: warm-ups, runs and the traced pass.
int64_t planned_steps(const report::ProtocolFields& protocol, int64_t new_tokens);

// One record per format, in order; what a format cannot do is its record's status. Errors:
// kInterrupted only.
Result<std::vector<report::RunRecord>> measure_block(const BlockSetup& setup);

// A record that says why there is no measurement.
report::RunRecord refused_record(const report::RunRecord& base, const Configuration& configuration,
                                 const Error& error);

}  // namespace kvtoll::studies
