// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/launch_join.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "kvtoll/profiler/dram_counter.h"
#include "kvtoll/profiler/dram_tracer.h"
#include "kvtoll/profiler/gpu_tracer.h"
#include "kvtoll/profiler/kernel_table.h"

namespace kvtoll::profiler {
namespace {

TEST(KernelBaseName, StripsWhatTheCompilerAdds) {
  EXPECT_EQ(kernel_base_name("gemv_kernel"), "gemv_kernel");
  EXPECT_EQ(kernel_base_name("void kvtoll::cuda::gemv_kernel<__half, 8>(kvtoll::GemvParams)"),
            "gemv_kernel");
  EXPECT_EQ(kernel_base_name("kvtoll::(anonymous namespace)::append_kernel(int, float*)"),
            "append_kernel");
  EXPECT_EQ(kernel_base_name("void a::b<c::d<int>>::run_kernel<e::f>(a::g<h>)"), "run_kernel");
  EXPECT_EQ(kernel_base_name("void k<(anonymous namespace)::Op, (int)4>(P)"), "k");
  EXPECT_EQ(kernel_base_name(""), "");
}

// What a GPU would report for a list of names, one after the other, 100 ns each.
ActivityLog log_of(const std::vector<std::string>& names, bool graph = false) {
  ActivityLog log;
  int64_t at = 1000;
  uint32_t correlation = 1;
  for (const std::string& name : names) {
    GpuActivity k;
    k.name = log.names->intern("void ns::" + name + "<int>(Params)");
    k.start_ns = at;
    k.end_ns = at + 100;
    k.correlation = graph ? 1 : correlation++;
    log.activities.push_back(k);
    at += 150;
  }
  return log;
}

std::vector<DeclaredOp> ops_of(const std::vector<std::string_view>& names) {
  std::vector<DeclaredOp> ops;
  for (const std::string_view name : names)
    ops.push_back(
        {name, 1000 * static_cast<int64_t>(ops.size() + 1), static_cast<int32_t>(ops.size()), 0});
  return ops;
}

TEST(LaunchJoin, PairsByNameAndOrder) {
  for (const bool graph : {false, true}) {
    ActivityLog log = log_of({"a_kernel", "b_kernel", "a_kernel"}, graph);
    std::shuffle(log.activities.begin(), log.activities.end(), std::mt19937(7));
    const TraceData t = join_launches(ops_of({"a_kernel", "b_kernel", "a_kernel"}), {}, log);
    ASSERT_EQ(t.kernels.size(), 3u);
    EXPECT_EQ(t.unmatched, 0);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(t.kernels[i].declared_bytes, static_cast<int64_t>(1000 * (i + 1)));
      EXPECT_EQ(t.kernels[i].layer, static_cast<int32_t>(i));
    }
    EXPECT_EQ(t.kernels[1].name, "b_kernel");
  }
}

TEST(LaunchJoin, ResyncsAfterALostRecord) {
  const TraceData t = join_launches(ops_of({"a_kernel", "b_kernel", "c_kernel", "d_kernel"}), {},
                                    log_of({"a_kernel", "c_kernel", "d_kernel"}));
  ASSERT_EQ(t.kernels.size(), 3u);
  EXPECT_EQ(t.kernels[1].declared_bytes, 3000);
  EXPECT_EQ(t.kernels[2].declared_bytes, 4000);
  EXPECT_EQ(t.unmatched, 1);
  EXPECT_EQ(t.notes.size(), 1u);
}

TEST(LaunchJoin, UndeclaredKernelOfOursIsReported) {
  const TraceData t = join_launches(ops_of({"a_kernel", "b_kernel"}), {},
                                    log_of({"a_kernel", "a_kernel", "b_kernel"}));
  ASSERT_EQ(t.kernels.size(), 3u);
  EXPECT_EQ(t.kernels[1].declared_bytes, -1);
  EXPECT_EQ(t.kernels[2].declared_bytes, 2000);
  EXPECT_EQ(t.unmatched, 1);
}

TEST(LaunchJoin, LibraryKernelsTakeTheOpBetweenTheirNeighbours) {
  // One declared product, done by the library as a product and a split-k reduction.
  const TraceData t =
      join_launches(ops_of({"a_kernel", "gemm_qkv", "b_kernel"}), {},
                    log_of({"a_kernel", "nvjet_hsh_64x8", "cublasLt_splitKreduce", "b_kernel"}));
  ASSERT_EQ(t.kernels.size(), 4u);
  EXPECT_EQ(t.kernels[1].declared_bytes, 2000);
  EXPECT_EQ(t.kernels[1].context, "gemm_qkv");
  EXPECT_EQ(t.kernels[2].declared_bytes, -1);
  EXPECT_EQ(t.kernels[2].context, "gemm_qkv");
  EXPECT_EQ(t.kernels[3].declared_bytes, 3000);
  EXPECT_EQ(t.unmatched, 0);
  const KernelTable table = build_kernel_table(t);
  EXPECT_EQ(table[Category::kAttention].time.value, 200);  // by the op, not by "gemm"
}

TEST(LaunchJoin, ZeroTimestampsKeepTheirPlace) {
  ActivityLog log = log_of({"a_kernel", "b_kernel", "c_kernel"});
  log.activities[1].start_ns = log.activities[1].end_ns = 0;
  const TraceData t =
      join_launches(ops_of({"a_kernel", "b_kernel", "c_kernel"}), {}, std::move(log));
  EXPECT_EQ(t.unmatched, 0);
  EXPECT_EQ(t.kernels[1].declared_bytes, 2000);
  EXPECT_EQ(build_kernel_table(t).untimed, 1);
}

TEST(LaunchJoin, CopiesCarryTheirOwnBytes) {
  ActivityLog log = log_of({"a_kernel"});
  GpuActivity copy;
  copy.kind = GpuActivity::Kind::kCopy;
  copy.name = "Memcpy HtoD";
  copy.start_ns = 900;
  copy.end_ns = 950;
  copy.bytes = 64;
  log.activities.push_back(copy);
  const TraceData t = join_launches(ops_of({"a_kernel"}), {}, std::move(log));
  EXPECT_EQ(t.unmatched, 0);
  EXPECT_EQ(t.kernels[0].declared_bytes, 64);
  EXPECT_EQ(t.kernels[1].declared_bytes, 1000);
}

TEST(LaunchJoin, NothingDeclaredKeepsTheKernels) {
  const TraceData t = join_launches({}, {}, log_of({"a_kernel", "b_kernel"}));
  EXPECT_EQ(t.kernels.size(), 2u);
  EXPECT_EQ(t.unmatched, 2);
  EXPECT_EQ(join_launches(ops_of({"a_kernel"}), {}, {}).unmatched, 1);
}

// Every kernel of a random run lost with probability 1/20: what is joined must be joined right.
TEST(LaunchJoin, RandomLossesNeverPairDifferentNames) {
  constexpr std::string_view kNames[] = {"a_kernel", "b_kernel", "c_kernel", "d_kernel",
                                         "e_kernel"};
  std::mt19937 random(20261124);
  std::vector<std::string_view> declared;
  std::vector<std::string> seen;
  for (int i = 0; i < 3000; ++i) {
    declared.push_back(kNames[i % 5]);
    if (random() % 20 != 0) seen.emplace_back(kNames[i % 5]);
  }
  const TraceData t = join_launches(ops_of(declared), {}, log_of(seen));
  EXPECT_EQ(t.kernels.size(), seen.size());
  const auto joined = std::count_if(t.kernels.begin(), t.kernels.end(),
                                    [](const KernelRecord& k) { return k.declared_bytes > 0; });
  EXPECT_GT(joined, static_cast<int64_t>(seen.size() * 95 / 100));
  for (const KernelRecord& k : t.kernels) {
    if (k.declared_bytes < 0) continue;
    EXPECT_EQ(k.name, declared[k.declared_bytes / 1000 - 1]);
  }
}

class FakeSource : public ActivitySource {
 public:
  explicit FakeSource(std::vector<std::string> names) : names_(std::move(names)) {}
  const Availability& availability() const override { return availability_; }
  Result<void> start() override { return {}; }
  ActivityLog stop() override { return log_of(names_, true); }

 private:
  std::vector<std::string> names_;
  Availability availability_{true, "", ""};
};

TEST(GpuTracer, JoinsReplayedStepsOfAGraph) {
  GpuTracer tracer(std::make_unique<FakeSource>(
      std::vector<std::string>{"x_kernel", "y_kernel", "x_kernel", "y_kernel"}));
  ASSERT_TRUE(tracer.start());
  for (int step = 0; step < 2; ++step) {
    trace::StepScope scope({trace::StepKind::kAppend, 10 + step, 1});
    trace::sink()->replayed_op({"x_kernel", Bytes(10)});
    trace::sink()->replayed_op({"y_kernel", Bytes(20), step});
  }
  const TraceData t = tracer.stop();
  EXPECT_EQ(trace::sink(), nullptr);
  ASSERT_EQ(t.kernels.size(), 4u);
  EXPECT_EQ(t.unmatched, 0);
  EXPECT_EQ(t.kernels[3].step, 1);
  EXPECT_EQ(t.kernels[3].layer, 1);
  EXPECT_EQ(t.steps[1].step.context, 11);
}

TEST(GpuTracer, CountsOpsBeyondItsRoom) {
  GpuTracer tracer(std::make_unique<FakeSource>(std::vector<std::string>{"x_kernel"}), 1);
  ASSERT_TRUE(tracer.start());
  trace::sink()->replayed_op({"x_kernel", Bytes(10)});
  trace::sink()->replayed_op({"y_kernel", Bytes(10)});
  EXPECT_EQ(tracer.stop().dropped, 1);
}

// Counts 100 bytes read and 10 written per range.
class FakeCounter : public DramCounter {
 public:
  const Availability& availability() const override { return availability_; }
  Result<void> start(size_t) override { return {}; }
  void begin_range() override {
    ++open_;
    EXPECT_EQ(open_, 1u) << "ranges do not nest";
  }
  void end_range() override { ranges_ += open_--; }
  Result<std::vector<DramCount>> stop() override {
    return std::vector<DramCount>(ranges_, {100, 10, 1});
  }

 private:
  size_t ranges_ = 0, open_ = 0;
  Availability availability_{true, "", ""};
};

DramBytes count_two_steps(CountBy by) {
  DramTracer tracer(std::make_unique<FakeCounter>());
  EXPECT_TRUE(tracer.start(by, 4));
  for (int step = 0; step < 2; ++step) {
    trace::StepScope scope({trace::StepKind::kAppend, 40 + step, 1});
    for (const trace::Op& op : {trace::Op{"x_kernel", Bytes(50), 0}, {"y_kernel", Bytes(60), 1}})
      if (by == CountBy::kOp)
        trace::Span eager(op);
      else
        trace::sink()->replayed_op(op);
  }
  auto bytes = tracer.stop();
  EXPECT_EQ(trace::sink(), nullptr);
  EXPECT_TRUE(bytes);
  return bytes ? *bytes : DramBytes{};
}

TEST(DramTracer, PairsCountersWithDeclaredWork) {
  const DramBytes b = count_two_steps(CountBy::kOp);
  EXPECT_EQ(b.steps, 2);
  EXPECT_EQ(b.context, 40);
  EXPECT_EQ(b.read.value, 400);
  EXPECT_EQ(b.written.value, 40);
  EXPECT_EQ(b.declared.value, 220);
  EXPECT_DOUBLE_EQ(b.ratio(), 2.0);
  ASSERT_EQ(b.ops.kernels.size(), 4u);
  EXPECT_EQ(b.ops.kernels[3].name, "y_kernel");
  EXPECT_EQ(b.ops.kernels[3].dram_bytes, 110);
}

TEST(DramTracer, StepsAreCountedWholeWhereAGraphReplaysThem) {
  const DramBytes b = count_two_steps(CountBy::kStep);
  EXPECT_EQ(b.steps, 2);
  EXPECT_EQ(b.read.value, 200);
  EXPECT_EQ(b.written.value, 20);
  EXPECT_EQ(b.declared.value, 220);
  EXPECT_TRUE(b.ops.kernels.empty());
}

}  // namespace
}  // namespace kvtoll::profiler
