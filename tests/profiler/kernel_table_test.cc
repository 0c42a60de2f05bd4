// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/kernel_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kvtoll/profiler/table_json.h"

namespace kvtoll::profiler {
namespace {

KernelRecord kernel(std::string_view name, int64_t start, int64_t end, int64_t bytes = -1) {
  return {.name = name, .start_ns = start, .end_ns = end, .declared_bytes = bytes};
}

TraceData trace_of(std::vector<KernelRecord> kernels, int64_t window_start = 0,
                   int64_t window_end = 0) {
  TraceData trace;
  trace.kernels = std::move(kernels);
  trace.window_start_ns = window_start;
  trace.window_end_ns = window_end;
  return trace;
}

TEST(KernelTable, UnionAndIdleAreTheWindow) {
  // [100,200) and [150,250) overlap by 50; [300,400) apart; the window is [50,450).
  const KernelTable table =
      build_kernel_table(trace_of({kernel("cpu_attention", 150, 250), kernel("cpu_rope", 100, 200),
                                   kernel("cpu_argmax", 300, 400)},
                                  50, 450));
  EXPECT_EQ(table.window.value, 400);
  EXPECT_EQ(table.busy.value, 250);
  EXPECT_EQ(table.overlap.value, 50);
  EXPECT_EQ(table.idle.time.value, 150);
  EXPECT_DOUBLE_EQ(table.idle.share, 150.0 / 400);
  // cpu_rope started first and keeps the 50 ns that both ran; cpu_attention has the rest.
  EXPECT_DOUBLE_EQ(table[Category::kElementwise].share, 100.0 / 400);
  EXPECT_DOUBLE_EQ(table[Category::kAttention].share, 50.0 / 400);
  EXPECT_EQ(table[Category::kSampling].time.value, 100);
}

TEST(KernelTable, ContainedAndRepeatedIntervals) {
  const KernelTable table = build_kernel_table(trace_of(
      {kernel("a", 10, 100), kernel("b", 20, 30), kernel("c", 20, 30), kernel("d", 90, 120)}, 0,
      200));
  EXPECT_EQ(table.busy.value, 110);
  EXPECT_EQ(table.overlap.value, 30);
  EXPECT_EQ(table.busy.value + table.idle.time.value, table.window.value);
  int64_t sum = table.idle.time.value;
  for (const TimeShare& category : table.categories) sum += category.time.value;
  EXPECT_EQ(sum, table.window.value);
}

// Each kernel starts while the one before still runs, prefetches its weights and waits: it costs
// what it adds, and its rate is not diluted by the waiting.
TEST(KernelTable, OverlappedLaunchesCostWhatTheyAdd) {
  std::vector<KernelRecord> chain;
  for (int i = 0; i < 10; ++i)
    chain.push_back(kernel(i % 2 ? "cpu_gemv_down" : "cpu_gemv_o", i == 0 ? 0 : 100 * i - 90,
                           100 * (i + 1), 1000));
  const KernelTable table = build_kernel_table(trace_of(chain, 0, 1000));
  EXPECT_EQ(table.busy.value, 1000);
  EXPECT_EQ(table.overlap.value, 9 * 90);
  for (const KernelRow& row : table.kernels) {
    EXPECT_EQ(row.total.value, 500);
    EXPECT_DOUBLE_EQ(row.gb_s, 10.0);
    EXPECT_GE(row.resident.value, 860);
  }
}

TEST(KernelTable, ClipsWhatReachesOutOfTheWindow) {
  const KernelTable table = build_kernel_table(
      trace_of({kernel("a", 0, 60), kernel("a", 90, 200), kernel("before", 1, 40)}, 50, 100));
  EXPECT_EQ(table.busy.value, 20);
  EXPECT_EQ(table.idle.time.value, 30);
  EXPECT_EQ(table.launches, 2);
}

TEST(KernelTable, ZeroTimestampsAreCountedNotTimed) {
  const KernelTable table = build_kernel_table(
      trace_of({kernel("cpu_rope", 0, 0), kernel("cpu_rope", 100, 300)}, 100, 300));
  ASSERT_EQ(table.kernels.size(), 1u);
  EXPECT_EQ(table.kernels[0].calls, 2);
  EXPECT_EQ(table.kernels[0].untimed, 1);
  EXPECT_EQ(table.untimed, 1);
  EXPECT_DOUBLE_EQ(table.kernels[0].mean_ns, 200.0);
  EXPECT_EQ(table.idle.time.value, 0);
}

TEST(KernelTable, PercentilesInterpolate) {
  std::vector<KernelRecord> kernels;
  int64_t at = 1;
  for (int i = 1; i <= 101; ++i) {  // durations 100 ... 10,100 ns, in falling order
    const int64_t length = 100 * (102 - i);
    kernels.push_back(kernel("cpu_rope", at, at + length));
    at += length;
  }
  const KernelTable table = build_kernel_table(trace_of(kernels));
  EXPECT_DOUBLE_EQ(table.kernels[0].p50_ns, 5100.0);
  EXPECT_DOUBLE_EQ(table.kernels[0].p99_ns, 10000.0);
}

TEST(KernelTable, RateCountsOnlyCallsThatDeclared) {
  const KernelTable table = build_kernel_table(
      trace_of({kernel("cpu_gemv_down", 1, 101, 1000), kernel("cpu_gemv_down", 201, 1201)}));
  EXPECT_DOUBLE_EQ(table.kernels[0].gb_s, 10.0);
  EXPECT_EQ(table.kernels[0].declared->value, 1000);
  EXPECT_FALSE(table.kernels[0].dram.has_value());
}

TEST(KernelTable, StepsMakeTheWindowAndLateKernelsExtendIt) {
  TraceData trace = trace_of({kernel("cpu_rope", 10, 20), kernel("cpu_rope", 110, 190)});
  trace.kernels[1].step = 0;  // launched by the step, ended after its call returned
  trace.steps = {{{trace::StepKind::kAppend, 5, 1}, 100, 150}};
  const KernelTable table = build_kernel_table(trace);
  EXPECT_EQ(table.window.value, 90);
  EXPECT_EQ(table.launches, 1);
  EXPECT_DOUBLE_EQ(table.launches_per_step, 1.0);
}

TEST(KernelTable, HostApiTimeInsideTheWindow) {
  TraceData trace = trace_of({kernel("cpu_rope", 100, 200)}, 100, 300);
  trace.api = {{"cudaLaunchKernel", 90, 120, 0},
               {"cudaLaunchKernel", 250, 260, 0},
               {"cudaLaunchKernel", 10, 20, 0}};
  const KernelTable table = build_kernel_table(trace);
  EXPECT_EQ(table.host_api.value, 30);
  EXPECT_EQ(table.host_api_calls, 2);
}

TEST(KernelTable, SplitsOneNameByContextAndListsTheUnknown) {
  TraceData trace = trace_of({kernel("gemvx::kernel", 1, 11), kernel("gemvx::kernel", 21, 31),
                              kernel("frobnicate", 41, 51)});
  trace.kernels[0].context = "model.layers.3.self_attn.q_proj";
  const KernelTable table = build_kernel_table(trace);
  EXPECT_EQ(table.kernels.size(), 3u);
  EXPECT_EQ(table[Category::kAttention].time.value, 10);
  EXPECT_EQ(table[Category::kFfn].time.value, 10);
  EXPECT_THAT(table.unknown, testing::ElementsAre("frobnicate"));
  EXPECT_NE(table_text(table).find("frobnicate"), std::string::npos);
}

TEST(KernelTable, EmptyTraceIsAllZero) {
  const KernelTable table = build_kernel_table({});
  EXPECT_EQ(table.window.value, 0);
  EXPECT_EQ(table.idle.share, 0.0);
  EXPECT_TRUE(table.kernels.empty());
}

TEST(KernelTable, JsonCarriesEveryField) {
  TraceData trace = trace_of({kernel("cpu_gemv_down", 100, 200, 2000)}, 100, 300);
  trace.dropped = 3;
  const auto json =
      nlohmann::json::parse(table_json(build_kernel_table(trace), /*peak_gb_s=*/40).dump());
  EXPECT_EQ(json["kernels"][0]["name"], "cpu_gemv_down");
  EXPECT_EQ(json["kernels"][0]["category"], "ffn");
  EXPECT_EQ(json["kernels"][0]["gb_s"], 20.0);
  EXPECT_EQ(json["kernels"][0]["peak_fraction"], 0.5);
  EXPECT_TRUE(json["kernels"][0]["dram_bytes"].is_null());
  EXPECT_EQ(json["categories"]["ffn"]["time_ns"], 100);
  EXPECT_EQ(json["categories"]["idle"]["share"], 0.5);
  EXPECT_EQ(json["categories"].size(), 9u);
  EXPECT_EQ(json["parts"]["ffn.down"]["calls"], 1);
  EXPECT_EQ(json["trace"]["dropped"], 3);
}

}  // namespace
}  // namespace kvtoll::profiler
