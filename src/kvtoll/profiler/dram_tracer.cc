// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/dram_tracer.h"

namespace kvtoll::profiler {

DramTracer::~DramTracer() {
  if (trace::sink() == this) (void)stop();
}

namespace {
constexpr size_t kMostKernels = 1 << 13, kMostSteps = 1 << 8;
}

// Seen on an H100 with driver 580 and CUDA 13.0: counting by kernel fails at stop (error 999) once
// a graph was launched meanwhile.
Result<void> DramTracer::start(CountBy by) {
  ops_.clear();
  steps_.clear();
  by_ = by;
  KVTOLL_TRY_VOID(counter_->start(by, by == CountBy::kKernel ? kMostKernels : kMostSteps));
  trace::install(this);
  return {};
}

Result<DramBytes> DramTracer::stop() {
  trace::install(nullptr);
  KVTOLL_TRY(const std::vector<DramCount> counted, counter_->stop());
  DramBytes out;
  out.steps = static_cast<int64_t>(steps_.size());
  out.context = steps_.empty() ? 0 : steps_.front().context;
  for (const DramCount& k : counted) {
    out.read += Bytes(static_cast<int64_t>(k.read_bytes));
    out.written += Bytes(static_cast<int64_t>(k.written_bytes));
  }
  for (const DeclaredOp& op : ops_) out.declared += Bytes(op.bytes);
  if (by_ == CountBy::kRange) return out;
  if (counted.size() != ops_.size()) {
    out.unpaired = fmt::format("the counters saw {} kernels, the engine declared {}",
                               counted.size(), ops_.size());
    return out;
  }
  for (size_t i = 0; i < ops_.size(); ++i) {
    KernelRecord k;
    k.name = ops_[i].kernel;
    k.layer = ops_[i].layer;
    k.declared_bytes = ops_[i].bytes;
    k.dram_bytes = counted[i].bytes();
    out.kernels.kernels.push_back(k);
  }
  return out;
}

void DramTracer::begin_step(const trace::Step& step) {
  steps_.push_back(step);
  if (by_ == CountBy::kRange) counter_->begin_range();
}

void DramTracer::end_step() {
  if (by_ == CountBy::kRange) counter_->end_range();
}

void DramTracer::begin_op(const trace::Op& op) {
  ops_.push_back({op.kernel, op.declared.value, op.layer, static_cast<int32_t>(steps_.size()) - 1});
}

}  // namespace kvtoll::profiler
