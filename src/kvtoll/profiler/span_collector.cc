// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/span_collector.h"

#include "kvtoll/core/clock.h"

namespace kvtoll::profiler {

SpanCollector::SpanCollector(size_t max_ops, size_t max_steps) : ops_(max_ops), steps_(max_steps) {}

void SpanCollector::begin_step(const trace::Step& step) {
  in_step_ = step_count_ < steps_.size();
  if (!in_step_) {
    ++dropped_;
    return;
  }
  steps_[step_count_] = {step, now().value, 0};
}

void SpanCollector::end_step() {
  if (!in_step_) return;
  steps_[step_count_++].end_ns = now().value;
  in_step_ = false;
}

void SpanCollector::begin_op(const trace::Op& op) {
  const bool room = op_count_ < ops_.size() && depth_ < kMaxDepth;
  if (room) {
    KernelRecord& record = ops_[op_count_];
    record.name = op.kernel;
    record.declared_bytes = op.declared.value;
    record.layer = op.layer;
    record.step = in_step_ ? static_cast<int32_t>(step_count_) : -1;
    open_[depth_] = op_count_++;
    record.start_ns = now().value;
  } else {
    ++dropped_;
    if (depth_ < kMaxDepth) open_[depth_] = ops_.size();
  }
  ++depth_;
}

void SpanCollector::end_op() {
  const int64_t end = now().value;
  if (depth_ == 0) return;
  --depth_;
  if (depth_ < kMaxDepth && open_[depth_] < ops_.size()) ops_[open_[depth_]].end_ns = end;
}

void SpanCollector::replayed_op(const trace::Op&) { ++replayed_; }

TraceData SpanCollector::take() {
  TraceData trace;
  trace.kernels.assign(ops_.begin(), ops_.begin() + static_cast<ptrdiff_t>(op_count_));
  trace.steps.assign(steps_.begin(), steps_.begin() + static_cast<ptrdiff_t>(step_count_));
  trace.dropped = dropped_;
  trace.unmatched = replayed_;
  if (replayed_ > 0)
    trace.notes.push_back(
        "operations replayed from a graph have no span of their own: trace them "
        "with the GPU tracer");
  op_count_ = step_count_ = depth_ = 0;
  in_step_ = false;
  dropped_ = replayed_ = 0;
  return trace;
}

}  // namespace kvtoll::profiler
