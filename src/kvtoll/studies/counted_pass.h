// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A short generation of which two steps are counted by the GPU's DRAM counters, in the record's
// terms. Example: KVTOLL_TRY_VOID(run_counted_pass(record, session, prompt, 1, tracer));
#pragma once

#include <span>

#include "kvtoll/engine/session.h"
#include "kvtoll/profiler/dram_tracer.h"
#include "kvtoll/report/record.h"

namespace kvtoll::studies {

// Fills record.dram and the kernels' measured bytes (call it after fill_trace). new_tokens: of the
// generation; at most a dozen are made. Errors: those of the engine's steps. Counters that cannot
// be read are a reason in the record.
Result<void> run_counted_pass(report::RunRecord& record, Session& session,
                              std::span<const int32_t> prompt, int batch, int new_tokens,
                              profiler::DramTracer& tracer);

// The arithmetic of it: kernels' bytes scaled from the counted steps by what the calls declared.
void fill_dram(report::RunRecord& record, const profiler::DramBytes& bytes);

}  // namespace kvtoll::studies
