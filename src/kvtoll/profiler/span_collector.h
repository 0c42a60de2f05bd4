// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The sink of a CPU run: each op the engine marks becomes one record. All memory is taken and
// touched before the run; an op costs two clock reads. Example: SpanCollector spans;
// trace::install(&spans); work(); trace::install(nullptr); TraceData trace = spans.take();
#pragma once

#include <vector>

#include "kvtoll/core/trace.h"
#include "kvtoll/profiler/trace_data.h"

namespace kvtoll::profiler {

class SpanCollector : public trace::Sink {
 public:
  // Room for `max_ops` ops and `max_steps` steps; what exceeds it is counted as dropped.
  explicit SpanCollector(size_t max_ops = 1 << 19, size_t max_steps = 1 << 14);

  void begin_step(const trace::Step& step) override;
  void end_step() override;
  void begin_op(const trace::Op& op) override;
  void end_op() override;
  void replayed_op(const trace::Op& op) override;

  // The records so far; the collector is empty afterwards.
  TraceData take();

 private:
  static constexpr size_t kMaxDepth = 8;
  std::vector<KernelRecord> ops_;
  std::vector<StepRecord> steps_;
  size_t op_count_ = 0, step_count_ = 0;
  size_t open_[kMaxDepth] = {};  // indices of the ops that are not finished
  size_t depth_ = 0;
  bool in_step_ = false;
  int64_t dropped_ = 0;
  int64_t replayed_ = 0;  // ops that ran without a call of their own: not measurable by spans
};

}  // namespace kvtoll::profiler
