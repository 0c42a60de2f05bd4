// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// DRAM bytes beside the declared ones, for a few steps: the counters of dram_counter.h joined with
// the ops that the engine declares meanwhile. A run of its own; its times are not kept. Example:
//   DramTracer tracer(make_dram_counter());
//   if (tracer.start(CountBy::kOp, 1000)) { two_steps(); auto bytes = tracer.stop(); }
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kvtoll/core/trace.h"
#include "kvtoll/profiler/dram_counter.h"
#include "kvtoll/profiler/launch_join.h"

namespace kvtoll::profiler {

struct DramBytes {
  int64_t steps = 0;
  int64_t context = 0;  // cached tokens before the first counted step
  Bytes read, written;  // over all steps
  Bytes declared;       // likewise
  // Operations in TraceData's form (no times). Empty where whole steps were counted.
  TraceData ops;

  double ratio() const {  // measured over declared
    return declared.value > 0
               ? static_cast<double>((read + written).value) / static_cast<double>(declared.value)
               : 0.0;
  }
};

// What stands between two readings of the counters: an operation as the engine declares it, with
// all the kernels that a library launches for it; or a whole step, for work that is replayed from a
// graph, where operations cannot be told apart.
enum class CountBy : uint8_t { kOp, kStep };

class DramTracer : public trace::Sink {
 public:
  explicit DramTracer(std::unique_ptr<DramCounter> counter) : counter_(std::move(counter)) {}
  ~DramTracer() override;
  const Availability& availability() const { return counter_->availability(); }

  // most: operations or steps there is room for; CUPTI takes about a millisecond to prepare each.
  // Errors: kMachine with the cure; stop()'s when there were more.
  Result<void> start(CountBy by, size_t most);
  Result<DramBytes> stop();

  void begin_step(const trace::Step& step) override;
  void end_step() override;
  void begin_op(const trace::Op& op) override;
  void end_op() override;
  void replayed_op(const trace::Op& op) override;

 private:
  void declare(const trace::Op& op);
  std::unique_ptr<DramCounter> counter_;
  CountBy by_ = CountBy::kOp;
  std::vector<DeclaredOp> ops_;
  std::vector<trace::Step> steps_;
};

}  // namespace kvtoll::profiler
