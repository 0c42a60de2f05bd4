// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The seam between subject and instrument. The engine marks spans of work and declares the bytes
// each must move; nothing happens unless a sink is installed. Neither side knows the other.
// Example: trace::Span span({"gemv_kernel", bytes, layer});   // until the end of the scope
#pragma once

#include <cstdint>
#include <string_view>

#include "kvtoll/core/clock.h"
#include "kvtoll/core/units.h"

namespace kvtoll::trace {

// One unit of work: on the CPU an operation, on the GPU one kernel launch.
struct Op {
  std::string_view kernel;  // public kernel name, a string literal: it stands in result files
  Bytes declared;  // bytes the work must move at least (read + written), from the named function
                   // beside its launcher
  int layer = -1;  // -1: not inside a layer
};

enum class StepKind : uint8_t { kPrefill, kAppend, kFlush };

struct Step {
  StepKind kind;
  int64_t context;  // cached tokens of the longest sequence before the step
  int64_t tokens;   // tokens processed by it, over the batch
};

class Sink {
 public:
  virtual ~Sink() = default;
  virtual void begin_step(const Step& step) = 0;
  virtual void end_step() = 0;
  virtual void begin_op(const Op& op) = 0;  // CPU: work starts. GPU eager: the launch call starts.
  virtual void end_op() = 0;
  // GPU graph replay: no launch call per kernel; the ops of the replayed step, in launch order.
  virtual void replayed_op(const Op& op) = 0;
};

// At most one sink, installed and removed while nothing runs. Not owned.
void install(Sink* sink);
Sink* sink();  // nullptr: tracing is off

class Span {
 public:
  explicit Span(const Op& op) : sink_(sink()) {
    if (sink_) sink_->begin_op(op);
  }
  ~Span() {
    if (sink_) sink_->end_op();
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  Sink* sink_;
};

class StepScope {
 public:
  explicit StepScope(const Step& step) : sink_(sink()) {
    if (sink_) sink_->begin_step(step);
  }
  ~StepScope() {
    if (sink_) sink_->end_step();
  }
  StepScope(const StepScope&) = delete;
  StepScope& operator=(const StepScope&) = delete;

 private:
  Sink* sink_;
};

}  // namespace kvtoll::trace
