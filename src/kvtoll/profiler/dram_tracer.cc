// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/dram_tracer.h"

#include "kvtoll/core/check.h"

namespace kvtoll::profiler {

DramTracer::~DramTracer() {
  if (trace::sink() == this) (void)stop();
}

Result<void> DramTracer::start(CountBy by, size_t most) {
  ops_.clear();
  steps_.clear();
  by_ = by;
  KVTOLL_TRY_VOID(counter_->start(most));
  trace::install(this);
  return {};
}

Result<DramBytes> DramTracer::stop() {
  trace::install(nullptr);
  KVTOLL_TRY(const std::vector<DramCount> counted, counter_->stop());
  DramBytes out;
  out.steps = static_cast<int64_t>(steps_.size());
  out.context = steps_.empty() ? 0 : steps_.front().context;
  for (const DramCount& range : counted) {
    out.read += Bytes(static_cast<int64_t>(range.read_bytes));
    out.written += Bytes(static_cast<int64_t>(range.written_bytes));
  }
  for (const DeclaredOp& op : ops_) out.declared += Bytes(op.bytes);
  if (by_ == CountBy::kStep) return out;
  KVTOLL_CHECK(counted.size() == ops_.size(), "{} counts of {} operations", counted.size(),
               ops_.size());
  for (size_t i = 0; i < ops_.size(); ++i) {
    KernelRecord op;
    op.name = ops_[i].kernel;
    op.layer = ops_[i].layer;
    op.declared_bytes = ops_[i].bytes;
    op.dram_bytes = counted[i].bytes();
    out.ops.kernels.push_back(op);
  }
  return out;
}

void DramTracer::declare(const trace::Op& op) {
  ops_.push_back({op.kernel, op.declared.value, op.layer, static_cast<int32_t>(steps_.size()) - 1});
}

void DramTracer::begin_step(const trace::Step& step) {
  steps_.push_back(step);
  if (by_ == CountBy::kStep) counter_->begin_range();
}

void DramTracer::end_step() {
  if (by_ == CountBy::kStep) counter_->end_range();
}

void DramTracer::begin_op(const trace::Op& op) {
  declare(op);
  if (by_ == CountBy::kOp) counter_->begin_range();
}

void DramTracer::end_op() {
  if (by_ == CountBy::kOp) counter_->end_range();
}

void DramTracer::replayed_op(const trace::Op& op) {
  KVTOLL_CHECK(by_ == CountBy::kStep, "{} of a graph counted by operation", op.kernel);
  declare(op);
}

}  // namespace kvtoll::profiler
