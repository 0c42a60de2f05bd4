// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/kernel_tracer.h"

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

class NoTracer : public KernelTracer {
 public:
  explicit NoTracer(Availability why) : availability_(std::move(why)) {}
  const Availability& availability() const override { return availability_; }
  std::string_view method() const override { return "none"; }
  Result<void> start() override {
    return machine_error("kernels cannot be traced: {}", availability_.reason);
  }
  TraceData stop() override { return {}; }

 private:
  Availability availability_;
};

}  // namespace

std::unique_ptr<KernelTracer> make_kernel_tracer(std::string_view backend) {
  if (backend == "cpu") return std::make_unique<SpanTracer>();
  return std::make_unique<NoTracer>(
      Availability{false, "this build has no CUDA", "build with nvcc 12.4 or newer on PATH"});
}

}  // namespace kvtoll::profiler
