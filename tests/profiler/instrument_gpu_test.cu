// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The instrument against a real GPU with kernels whose work is known: a busy-wait and a copy.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "kvtoll/core/clock.h"
#include "kvtoll/core/statistics.h"
#include "kvtoll/core/trace.h"
#include "kvtoll/profiler/clock_guard.h"
#include "kvtoll/profiler/dram_tracer.h"
#include "kvtoll/profiler/energy.h"
#include "kvtoll/profiler/gpu_tracer.h"
#include "kvtoll/profiler/kernel_tracer.h"

namespace kvtoll::profiler {
namespace {

__global__ void spin_kernel(int64_t ns) {
  int64_t start, now;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
  do {
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
  } while (now - start < ns);
}

template <int kUnused>
__global__ void stream_copy_kernel(const uint4* from, uint4* to, int64_t n) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * blockDim.x)
    to[i] = from[i];
}

struct Copy {
  static constexpr int64_t kBytes = 512 << 20;  // ten times the L2 of an H100
  uint4 *from = nullptr, *to = nullptr;
  Copy() {
    cudaMalloc(&from, kBytes);
    cudaMalloc(&to, kBytes);
    cudaMemset(from, 1, kBytes);
    cudaDeviceSynchronize();
  }
  ~Copy() {
    cudaFree(from);
    cudaFree(to);
  }
  void launch(cudaStream_t stream = nullptr) const {
    trace::Span span({"stream_copy_kernel", Bytes(2 * kBytes), 1});
    stream_copy_kernel<0><<<1056, 512, 0, stream>>>(from, to, kBytes / 16);
  }
};

void launch_spin(int64_t ns, cudaStream_t stream = nullptr) {
  trace::Span span({"spin_kernel", Bytes(8), 0});
  spin_kernel<<<1, 1, 0, stream>>>(ns);
}

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

bool has_gpu() {
  int n = 0;
  return cudaGetDeviceCount(&n) == cudaSuccess && n > 0;
}

#define REQUIRE_GPU() \
  if (!has_gpu()) GTEST_SKIP() << "no GPU"

TEST(CuptiTracer, EagerLaunchesAreTimedJoinedAndOnOurClock) {
  REQUIRE_GPU();
  const auto tracer = make_kernel_tracer("cuda");
  ASSERT_TRUE(tracer->availability().available) << tracer->availability().reason;
  Copy copy;
  ASSERT_TRUE(tracer->start().has_value());
  for (int i = 0; i < 10; ++i) {
    trace::StepScope step({trace::StepKind::kAppend, i, 1});
    launch_spin(50'000);
    copy.launch();
    cudaDeviceSynchronize();
  }
  const TraceData t = tracer->stop();
  ASSERT_EQ(t.kernels.size(), 20u);
  EXPECT_EQ(t.unmatched, 0);
  EXPECT_EQ(t.dropped, 0);
  for (size_t i = 0; i < t.kernels.size(); ++i) {
    const KernelRecord& k = t.kernels[i];
    EXPECT_EQ(k.name, i % 2 == 0 ? "spin_kernel" : "stream_copy_kernel");
    EXPECT_EQ(k.step, static_cast<int>(i / 2));
    EXPECT_GE(k.start_ns, t.steps[k.step].start_ns - 20'000);
    EXPECT_LE(k.end_ns, t.steps[k.step].end_ns + 20'000);
    if (i % 2 == 0) EXPECT_NEAR(k.end_ns - k.start_ns, 50'000, 8'000);
  }
  const KernelTable table = build_kernel_table(t);
  std::printf("%s", table_text(table, 3352).c_str());
  EXPECT_NEAR(static_cast<double>(table.busy.value + table.idle.time.value),
              static_cast<double>(table.window.value), 0.005 * table.window.value);
  EXPECT_EQ(table.launches_per_step, 2.0);
  EXPECT_GT(table.host_api_calls, 20);
  EXPECT_GT(table.kernels[0].gb_s, 1000.0);
}

TEST(CuptiTracer, GraphNodesAreSeenOneByOne) {
  REQUIRE_GPU();
  const auto tracer = make_kernel_tracer("cuda");
  ASSERT_TRUE(tracer->availability().available) << tracer->availability().reason;
  Copy copy;
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
  for (int i = 0; i < 3; ++i) {
    spin_kernel<<<1, 1, 0, stream>>>(20'000);
    stream_copy_kernel<0><<<1056, 512, 0, stream>>>(copy.from, copy.to, Copy::kBytes / 16);
  }
  cudaStreamEndCapture(stream, &graph);
  cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphLaunch(exec, stream);
  ASSERT_TRUE(tracer->start().has_value());
  for (int step = 0; step < 5; ++step) {
    trace::StepScope scope({trace::StepKind::kAppend, step, 1});
    for (int i = 0; i < 3; ++i) {
      trace::sink()->replayed_op({"spin_kernel", Bytes(8), i});
      trace::sink()->replayed_op({"stream_copy_kernel", Bytes(2 * Copy::kBytes), i});
    }
    cudaGraphLaunch(exec, stream);
    cudaStreamSynchronize(stream);
  }
  const TraceData t = tracer->stop();
  ASSERT_EQ(t.kernels.size(), 30u);
  EXPECT_EQ(t.unmatched, 0);
  for (size_t i = 0; i < t.kernels.size(); ++i) {
    EXPECT_EQ(t.kernels[i].step, static_cast<int>(i / 6));
    EXPECT_EQ(t.kernels[i].layer, static_cast<int>(i / 2 % 3));
  }
  std::printf("%s", table_text(build_kernel_table(t), 3352).c_str());
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

TEST(CuptiTracer, OverlapOfTwoStreamsIsReported) {
  REQUIRE_GPU();
  const auto tracer = make_kernel_tracer("cuda");
  cudaStream_t a, b;
  cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking);
  launch_spin(1000, a);
  ASSERT_TRUE(tracer->start().has_value());
  launch_spin(2'000'000, a);
  launch_spin(2'000'000, b);
  const KernelTable table = build_kernel_table(tracer->stop());
  EXPECT_EQ(table.launches, 2);
  EXPECT_GT(table.overlap.value, 1'500'000);
  EXPECT_LT(table.busy.value, 2'600'000);
  cudaStreamDestroy(a);
  cudaStreamDestroy(b);
}

// A graph of 150 kernels of about 30 us: the launches of a decode step of a 7B model.
struct StepGraph {
  static constexpr int kKernels = 150;
  cudaStream_t stream{};
  cudaGraph_t graph{};
  cudaGraphExec_t exec{};
  cudaEvent_t done[2]{};
  StepGraph() {
    cudaStreamCreate(&stream);
    for (cudaEvent_t& event : done) cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    for (int i = 0; i < kKernels; ++i) spin_kernel<<<1, 1, 0, stream>>>(30'000);
    cudaStreamEndCapture(stream, &graph);
    cudaGraphInstantiate(&exec, graph, 0);
  }
  ~StepGraph() {
    cudaGraphExecDestroy(exec);
    cudaGraphDestroy(graph);
    for (cudaEvent_t event : done) cudaEventDestroy(event);
    cudaStreamDestroy(stream);
  }
  void launch(int i) const {
    trace::StepScope scope({trace::StepKind::kAppend, i, 1});
    if (trace::sink())
      for (int k = 0; k < kKernels; ++k) trace::sink()->replayed_op({"spin_kernel", Bytes(8), k});
    cudaGraphLaunch(exec, stream);
    cudaEventRecord(done[i % 2], stream);
  }
  // Each step is queued while the one before runs, as the engine does it.
  std::vector<double> run_us(int steps) const {
    std::vector<double> times;
    launch(0);
    int64_t before = now().value;
    for (int i = 0; i < steps; ++i) {
      if (i + 1 < steps) launch(i + 1);
      cudaEventSynchronize(done[i % 2]);
      const int64_t end = now().value;
      times.push_back(static_cast<double>(end - before) * 1e-3);
      before = end;
    }
    return times;
  }
};

// What tracing costs is printed, not judged: docs/measuring.md.
TEST(CuptiTracer, EveryNodeIsSeenOfGraphsQueuedAhead) {
  REQUIRE_GPU();
  const StepGraph step;
  step.run_us(20);
  GpuTracer tracer(make_cupti_source());
  for (int round = 0; round < 3; ++round) {  // in turn, so that drift is not tracing
    const std::vector<double> plain = step.run_us(40);
    ASSERT_TRUE(tracer.start().has_value());
    const std::vector<double> traced = step.run_us(40);
    const TraceData t = tracer.stop();
    ASSERT_EQ(t.kernels.size(), size_t{40} * StepGraph::kKernels);
    EXPECT_EQ(t.unmatched, 0);
    EXPECT_EQ(t.dropped, 0);
    for (size_t i = 0; i < t.kernels.size(); ++i) {
      ASSERT_EQ(t.kernels[i].step, static_cast<int>(i / StepGraph::kKernels));
      ASSERT_EQ(t.kernels[i].layer, static_cast<int>(i % StepGraph::kKernels));
      ASSERT_GT(t.kernels[i].end_ns, t.kernels[i].start_ns);
    }
    std::printf("untraced %.1f us, traced %.1f us (first %.1f, p90 %.1f)\n", percentile(plain, 50),
                percentile(traced, 50), traced[0], percentile(traced, 90));
  }
}

TEST(DramCounter, CountsWhatACopyMoves) {
  REQUIRE_GPU();
  Copy copy;
  const auto counter = make_dram_counter();
  if (!counter->availability().available) GTEST_SKIP() << counter->availability().reason;
  const auto started = counter->start(64);
  ASSERT_TRUE(started.has_value()) << started.error().message;
  for (int i = 0; i < 8; ++i) {
    counter->begin_range();
    if (i % 2)
      copy.launch();
    else
      launch_spin(1000);
    counter->end_range();
  }
  const auto ranges = counter->stop();
  ASSERT_TRUE(ranges) << ranges.error().message;
  for (const DramCount& k : *ranges)
    std::printf("read %.1f MB, written %.1f MB, %.1f us\n", k.read_bytes * 1e-6,
                k.written_bytes * 1e-6, k.time_ns * 1e-3);
  ASSERT_EQ(ranges->size(), 8u);
  EXPECT_NEAR((*ranges)[7].read_bytes, Copy::kBytes, 0.05 * Copy::kBytes);
  EXPECT_NEAR((*ranges)[7].written_bytes, Copy::kBytes, 0.10 * Copy::kBytes);
  EXPECT_LT((*ranges)[6].read_bytes, 0.01 * Copy::kBytes);
}

TEST(DramCounter, CountsAGraphLaunchAsOneRange) {
  REQUIRE_GPU();
  Copy copy;
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
  for (int i = 0; i < 2; ++i)
    stream_copy_kernel<0><<<1056, 512, 0, stream>>>(copy.from, copy.to, Copy::kBytes / 16);
  cudaStreamEndCapture(stream, &graph);
  cudaGraphInstantiate(&exec, graph, 0);
  cudaGraphLaunch(exec, stream);
  DramTracer tracer(make_dram_counter());
  if (!tracer.availability().available) GTEST_SKIP() << tracer.availability().reason;
  const auto started = tracer.start(CountBy::kStep, 3);
  ASSERT_TRUE(started.has_value()) << started.error().message;
  for (int step = 0; step < 3; ++step) {
    trace::StepScope scope({trace::StepKind::kAppend, step, 1});
    trace::sink()->replayed_op({"stream_copy_kernel", Bytes(4 * Copy::kBytes), 0});
    cudaGraphLaunch(exec, stream);
  }
  const auto bytes = tracer.stop();
  ASSERT_TRUE(bytes) << bytes.error().message;
  EXPECT_EQ(bytes->steps, 3);
  EXPECT_NEAR(bytes->ratio(), 1.0, 0.05);
  std::printf("graph: read %.1f MB, written %.1f MB, ratio %.4f\n", bytes->read.value * 1e-6,
              bytes->written.value * 1e-6, bytes->ratio());
  cudaGraphExecDestroy(exec);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

TEST(NvmlMeter, CopyingCostsMoreThanIdling) {
  REQUIRE_GPU();
  Copy copy;
  const auto meter = make_energy_meter("cuda");
  if (!meter->availability().available) GTEST_SKIP() << meter->availability().reason;
  ClockGuard guard("cuda");
  for (const Warning& w : guard.preflight())
    std::printf("%s: %s\n", w.code.c_str(), w.message.c_str());
  const double idle = meter->idle_watts(Nanoseconds(2'000'000'000));
  guard.begin();
  meter->begin();
  const int64_t until = now().value + 4'000'000'000;
  int64_t copies = 0;
  while (now().value < until) {
    for (int i = 0; i < 16; ++i, ++copies) copy.launch();
    cudaDeviceSynchronize();
  }
  const EnergyWindow w = meter->end();
  const ClockReport clocks = guard.end();
  sleep_ms(500);
  const double after = meter->idle_watts(Nanoseconds(2'000'000'000));
  ASSERT_TRUE(w.ok) << w.reason;
  const EnergyResult r = settle_energy(w, idle, after, copies);
  std::printf(
      "idle %.1f W before, %.1f W after; busy %.1f W by counter, %.1f W sampled; %ld steps of "
      "%.1f ms, edge error %.4f; %zu samples; SM %.0f MHz; %.3f J per copy of 512 MiB\n",
      idle, after, w.watts(), w.sampled_watts, static_cast<long>(w.steps), w.step_ns * 1e-6,
      w.edge_error, w.samples.size(), clocks.sm_mhz_mean, r.gross_j_per_token);
  for (const Warning& x : r.warnings) std::printf("%s: %s\n", x.code.c_str(), x.message.c_str());
  EXPECT_GT(w.watts(), idle + 50);
  EXPECT_GT(w.steps, 20);
}

}  // namespace
}  // namespace kvtoll::profiler
