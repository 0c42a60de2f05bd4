// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/counted_pass.h"

#include <algorithm>
#include <optional>

#include "kvtoll/profiler/kernel_table.h"

namespace kvtoll::studies {
namespace {

// The first steps load modules and capture the graph; they are not counted.
constexpr int kFirst = 5, kSteps = 2;

// How many operations a step has, from those before the counted ones.
class OpsOfStep final : public trace::Sink {
 public:
  ~OpsOfStep() override {
    if (trace::sink() == this) trace::install(nullptr);
  }
  void begin_step(const trace::Step&) override { ops_ = 0; }
  void end_step() override { most_ = std::max(most_, ops_); }
  void begin_op(const trace::Op&) override { ++ops_; }
  void end_op() override {}
  void replayed_op(const trace::Op&) override { ++ops_; }
  size_t most() const { return most_; }

 private:
  size_t ops_ = 0, most_ = 0;
};

}  // namespace

void fill_dram(report::RunRecord& record, const profiler::DramBytes& bytes) {
  report::DramFields& out = record.dram;
  out.available = bytes.steps > 0 && bytes.declared.value > 0;
  out.reason = out.available ? "" : "no step was counted";
  if (!out.available) return;
  out.steps = bytes.steps;
  out.context = bytes.context;
  out.read_bytes_per_step = bytes.read.value / bytes.steps;
  out.written_bytes_per_step = bytes.written.value / bytes.steps;
  out.declared_bytes_per_step = bytes.declared.value / bytes.steps;
  out.ratio = bytes.ratio();
  const profiler::KernelTable table = profiler::build_kernel_table(bytes.ops);
  for (report::KernelRow& row : record.kernels)
    for (const profiler::KernelRow& counted : table.kernels) {
      if (counted.name != row.name || !counted.dram || !counted.declared) continue;
      const double ratio = static_cast<double>(counted.dram->value) /
                           static_cast<double>(std::max<int64_t>(1, counted.declared->value));
      row.measured_dram_bytes =
          static_cast<int64_t>(ratio * static_cast<double>(row.declared_bytes));
    }
}

Result<void> run_counted_pass(report::RunRecord& record, Session& session,
                              std::span<const int32_t> prompt, int batch, int new_tokens,
                              profiler::DramTracer& tracer) {
  if (!tracer.availability().available) {
    record.dram.reason = tracer.availability().reason;
    return {};
  }
  if (new_tokens < kFirst + kSteps + 2) {
    record.dram.reason = "too few steps to count";
    return {};
  }
  const bool whole = record.config.launch == "graph";
  const profiler::CountBy by = whole ? profiler::CountBy::kStep : profiler::CountBy::kOp;
  OpsOfStep before;
  std::optional<Result<profiler::DramBytes>> bytes;
  std::string refused;
  const auto on_step = [&](int done) {
    if (done == 1) trace::install(&before);
    if (done == kFirst) {
      trace::install(nullptr);
      const size_t most = whole ? kSteps : 2 * kSteps * before.most();
      if (auto started = tracer.start(by, most); !started) refused = started.error().message;
    }
    if (done == kFirst + kSteps && refused.empty()) bytes = tracer.stop();
    return true;
  };
  constexpr int64_t kEdges[] = {1, kFirst, kFirst + kSteps};
  KVTOLL_TRY_VOID(session.generate_fixed(prompt, batch, kFirst + kSteps + 2, on_step, kEdges));
  if (!refused.empty()) {
    record.dram.reason = refused;
  } else if (bytes && !*bytes) {
    record.dram.reason = bytes->error().message;
  } else if (bytes) {
    fill_dram(record, **bytes);
  }
  return {};
}

}  // namespace kvtoll::studies
