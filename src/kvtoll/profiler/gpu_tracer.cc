// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/gpu_tracer.h"

#include "kvtoll/core/clock.h"

namespace kvtoll::profiler {

GpuTracer::GpuTracer(std::unique_ptr<ActivitySource> source, size_t max_ops)
    : source_(std::move(source)), ops_(max_ops) {
  steps_.reserve(1 << 14);
}

GpuTracer::~GpuTracer() {
  if (trace::sink() == this) stop();
}

Result<void> GpuTracer::start() {
  if (!availability().available)
    return machine_error("kernels cannot be traced: {}", availability().reason);
  op_count_ = 0;
  steps_.clear();
  in_step_ = false;
  dropped_ = 0;
  KVTOLL_TRY_VOID(source_->start());
  trace::install(this);
  return {};
}

TraceData GpuTracer::stop() {
  trace::install(nullptr);
  ActivityLog log = source_->stop();
  log.dropped += dropped_;
  const std::vector<DeclaredOp> ops(ops_.begin(), ops_.begin() + static_cast<ptrdiff_t>(op_count_));
  TraceData trace = join_launches(ops, std::move(steps_), std::move(log));
  steps_ = {};
  return trace;
}

void GpuTracer::begin_step(const trace::Step& step) {
  steps_.push_back({step, now().value, 0});
  in_step_ = true;
}

void GpuTracer::end_step() {
  if (in_step_) steps_.back().end_ns = now().value;
  in_step_ = false;
}

void GpuTracer::declare(const trace::Op& op) {
  if (op_count_ == ops_.size()) {
    ++dropped_;
    return;
  }
  ops_[op_count_++] = {op.kernel, op.declared.value, op.layer,
                       in_step_ ? static_cast<int32_t>(steps_.size()) - 1 : -1};
}

}  // namespace kvtoll::profiler
