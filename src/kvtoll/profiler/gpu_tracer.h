// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The sink of a GPU run: it keeps the declared ops in order and joins them at stop() with what the
// activity source saw. During the run it neither reads clocks per op nor calls the driver.
#pragma once

#include <memory>
#include <vector>

#include "kvtoll/core/trace.h"
#include "kvtoll/profiler/gpu_activity.h"
#include "kvtoll/profiler/kernel_tracer.h"
#include "kvtoll/profiler/launch_join.h"

namespace kvtoll::profiler {

class GpuTracer : public KernelTracer, public trace::Sink {
 public:
  explicit GpuTracer(std::unique_ptr<ActivitySource> source, size_t max_ops = 1 << 20);
  ~GpuTracer() override;

  const Availability& availability() const override { return source_->availability(); }
  std::string_view method() const override { return "cupti_activity"; }
  Result<void> start() override;
  TraceData stop() override;

  void begin_step(const trace::Step& step) override;
  void end_step() override;
  void begin_op(const trace::Op& op) override { declare(op); }
  void end_op() override {}
  void replayed_op(const trace::Op& op) override { declare(op); }

 private:
  void declare(const trace::Op& op);
  std::unique_ptr<ActivitySource> source_;
  std::vector<DeclaredOp> ops_;
  size_t op_count_ = 0;
  std::vector<StepRecord> steps_;
  bool in_step_ = false;
  int64_t dropped_ = 0;
};

}  // namespace kvtoll::profiler
