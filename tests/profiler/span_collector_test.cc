// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/span_collector.h"

#include <gtest/gtest.h>

#include "kvtoll/core/clock.h"
#include "kvtoll/profiler/kernel_tracer.h"

namespace kvtoll::profiler {
namespace {

void busy(int64_t ns) {
  const int64_t until = now().value + ns;
  while (now().value < until) {
  }
}

TEST(SpanCollector, RecordsOpsWithStepLayerAndBytes) {
  const auto tracer = make_kernel_tracer("cpu");
  ASSERT_TRUE(tracer->availability().available);
  ASSERT_TRUE(tracer->start());
  {
    trace::Span outside({"cpu_embed", Bytes(7)});
    busy(1000);
  }
  {
    trace::StepScope step({trace::StepKind::kFlush, 42, 1});
    trace::Span op({"cpu_gemv_qkv", Bytes(4096), 3});
    busy(200'000);
  }
  const TraceData trace = tracer->stop();
  EXPECT_EQ(trace::sink(), nullptr);
  ASSERT_EQ(trace.kernels.size(), 2u);
  EXPECT_EQ(trace.kernels[0].step, -1);
  EXPECT_EQ(trace.kernels[1].name, "cpu_gemv_qkv");
  EXPECT_EQ(trace.kernels[1].layer, 3);
  EXPECT_EQ(trace.kernels[1].step, 0);
  EXPECT_EQ(trace.kernels[1].declared_bytes, 4096);
  EXPECT_GE(trace.kernels[1].end_ns - trace.kernels[1].start_ns, 200'000);
  ASSERT_EQ(trace.steps.size(), 1u);
  EXPECT_EQ(trace.steps[0].step.context, 42);
  EXPECT_LE(trace.steps[0].start_ns, trace.kernels[1].start_ns);
  EXPECT_GE(trace.steps[0].end_ns, trace.kernels[1].end_ns);
  EXPECT_TRUE(tracer->start());
  EXPECT_TRUE(tracer->stop().kernels.empty());
}

TEST(SpanCollector, CountsWhatDoesNotFit) {
  SpanCollector spans(2, 1);
  for (int step = 0; step < 2; ++step) {
    spans.begin_step({trace::StepKind::kAppend, step, 1});
    for (int i = 0; i < 2; ++i) {
      spans.begin_op({"cpu_rope", Bytes(1)});
      spans.end_op();
    }
    spans.end_step();
  }
  const TraceData trace = spans.take();
  EXPECT_EQ(trace.kernels.size(), 2u);
  EXPECT_EQ(trace.steps.size(), 1u);
  EXPECT_EQ(trace.dropped, 3);  // one step, two ops
}

TEST(SpanCollector, NestedOpsKeepTheirOwnTimes) {
  SpanCollector spans(8, 1);
  spans.begin_op({"outer", Bytes(1)});
  spans.begin_op({"inner", Bytes(1)});
  busy(10'000);
  spans.end_op();
  busy(10'000);
  spans.end_op();
  const TraceData trace = spans.take();
  ASSERT_EQ(trace.kernels.size(), 2u);
  EXPECT_EQ(trace.kernels[0].name, "outer");
  EXPECT_LE(trace.kernels[0].start_ns, trace.kernels[1].start_ns);
  EXPECT_GT(trace.kernels[0].end_ns, trace.kernels[1].end_ns);
}

TEST(SpanCollector, GraphReplayIsReportedAsUnmeasured) {
  SpanCollector spans(8, 1);
  spans.replayed_op({"gemv_kernel", Bytes(1)});
  const TraceData trace = spans.take();
  EXPECT_EQ(trace.unmatched, 1);
  EXPECT_EQ(trace.notes.size(), 1u);
}

}  // namespace
}  // namespace kvtoll::profiler
