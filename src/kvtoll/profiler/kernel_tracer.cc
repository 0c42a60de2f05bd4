// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/kernel_tracer.h"

#include "kvtoll/profiler/gpu_tracer.h"
#include "kvtoll/profiler/span_collector.h"

namespace kvtoll::profiler {
namespace {

class SpanTracer : public KernelTracer {
 public:
  ~SpanTracer() override {
    if (trace::sink() == &spans_) trace::install(nullptr);
  }
  const Availability& availability() const override { return availability_; }
  std::string_view method() const override { return "spans"; }
  Result<void> start() override {
    spans_.take();
    trace::install(&spans_);
    return {};
  }
  TraceData stop() override {
    trace::install(nullptr);
    return spans_.take();
  }

 private:
  SpanCollector spans_;
  Availability availability_{true, "", ""};
};

}  // namespace

std::unique_ptr<KernelTracer> make_kernel_tracer(std::string_view backend) {
  if (backend == "cpu") return std::make_unique<SpanTracer>();
  return std::make_unique<GpuTracer>(make_cupti_source());
}

}  // namespace kvtoll::profiler
