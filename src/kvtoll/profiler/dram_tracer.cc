// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/dram_tracer.h"

namespace kvtoll::profiler {

DramTracer::~DramTracer() {
  if (trace::sink() == this) (void)stop();
}

// Seen on an H100 with driver 580 and CUDA 13.0: ranges by kernel fail at stop (error 999) once a
// graph was launched among them.
Availability graphs_cannot_be_counted() {
  return {false, "DRAM counters work kernel by kernel, which CUDA graphs do not allow",
          "run the same configuration with --launch eager: the kernels and their bytes are the "
          "same"};
}

Result<void> DramTracer::start(size_t max_kernels) {
  ops_.clear();
  steps_.clear();
  KVTOLL_TRY_VOID(counter_->start(max_kernels));
  trace::install(this);
  return {};
}

Result<DramBytes> DramTracer::stop() {
  trace::install(nullptr);
  KVTOLL_TRY(const std::vector<DramKernel> counted, counter_->stop());
  DramBytes out;
  out.steps = static_cast<int64_t>(steps_.size());
  out.context = steps_.empty() ? 0 : steps_.front().context;
  for (const DramKernel& k : counted) {
    out.read += Bytes(static_cast<int64_t>(k.read_bytes));
    out.written += Bytes(static_cast<int64_t>(k.written_bytes));
  }
  for (const DeclaredOp& op : ops_) out.declared += Bytes(op.bytes);
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

void DramTracer::begin_step(const trace::Step& step) { steps_.push_back(step); }

void DramTracer::begin_op(const trace::Op& op) {
  ops_.push_back({op.kernel, op.declared.value, op.layer, static_cast<int32_t>(steps_.size()) - 1});
}

}  // namespace kvtoll::profiler
