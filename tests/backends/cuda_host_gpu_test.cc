// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The parts of the CUDA backend that run on the host: declared bytes, splits, what a replayed step
// tells a trace, and how memory is planned. Built with CUDA, run without a GPU.
#include <gtest/gtest.h>

#include "kvtoll/backends/cuda/attention_decode.h"
#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/kv_memory.h"
#include "kvtoll/backends/cuda/op_log.h"
#include "kvtoll/backends/cuda/tuning/attention_shape.h"
#include "kvtoll/cache/footprint.h"

namespace kvtoll::cuda {
namespace {

TEST(CudaBytes, ProductsCountWeightsInputAndOutput) {
  EXPECT_EQ(gemv_bytes(4608, 3584, 4, false, true).value,
            4608ll * 3584 * 2 + 3584 * 4 + 4608 * 4 + 4608 * 4);
  EXPECT_EQ(gemv_bytes(8, 16, 4, true, false).value, 8 * 16 * 2 + 16 * 4 + 8 * 4 * 2);
}

TEST(CudaBytes, AttentionCountsKeysAndValuesOnce) {
  // 57,344 bytes a cached token over 28 layers of Qwen2.5-7B.
  EXPECT_EQ(28 * attention_decode_bytes(1, 0, 28, 4, 128).value, 57344);
  EXPECT_EQ(attention_decode_bytes(0, 3, 28, 4, 128).value, 3 * 28 * 128 * 2 * 2);
}

TEST(CudaSplits, FillTheCardOnceAndNeverExceedTheTokens) {
  const auto splits = [](AttentionLoad load) {
    const AttentionGrid grid = attention_grid(load, {132, {132}});
    EXPECT_EQ(grid.cluster, 1);
    return grid.splits;
  };
  EXPECT_EQ(splits({1, 4, 7, 32768}), 33);
  EXPECT_EQ(splits({32, 4, 7, 8192}), 1);
  EXPECT_EQ(splits({1, 1, 8, 1 << 20}), 128);  // kMaxSplits
  EXPECT_EQ(splits({1, 1, 12, 1 << 20}), 66);  // two groups of heads
  EXPECT_EQ(splits({1, 4, 7, 100}), 2);
  EXPECT_EQ(splits({1, 1, 1, 1}), 1);
}

TEST(CudaSplits, OneClusterServesAShortSequenceWhereAllFitTheCard) {
  const AttentionRoom h100{132, {132, 66, 30, 15, 7}};  // as an H100 says
  const auto cluster = [&](AttentionLoad load) {
    const AttentionGrid grid = attention_grid(load, h100);
    EXPECT_TRUE(grid.cluster == 1 || grid.splits == grid.cluster);
    return grid.cluster;
  };
  EXPECT_EQ(cluster({1, 4, 7, kClusterTokens}), 16);
  EXPECT_EQ(cluster({1, 4, 7, kClusterTokens + 1}), 1);
  EXPECT_EQ(cluster({1, 4, 7, 100}), 2);  // not more blocks than there are tiles for
  EXPECT_EQ(cluster({2, 4, 7, kClusterTokens / 2}), 8);
  EXPECT_EQ(cluster({2, 4, 7, kClusterTokens / 2 + 1}), 1);
  EXPECT_EQ(cluster({1, 8, 12, 4096}), 4);  // 16 groups of heads, and room for 15 clusters of 8
  EXPECT_EQ(cluster({7, 4, 7, 1024}), 4);
  EXPECT_EQ(cluster({8, 4, 7, 1024}), 2);
  EXPECT_EQ(cluster({16, 4, 7, 512}), 2);
  EXPECT_EQ(cluster({32, 4, 7, 512}), 1);
}

TEST(CudaSplits, StepsOfShortSequencesShareOneGrid) {
  EXPECT_EQ(attention_tokens(1, 1, 100000), kClusterTokens);
  EXPECT_EQ(attention_tokens(1, kClusterTokens, 100000), kClusterTokens);
  EXPECT_EQ(attention_tokens(1, kClusterTokens + 1, 100000), 100000);
  EXPECT_EQ(attention_tokens(4, kClusterTokens / 4, 100000), kClusterTokens / 4);
  EXPECT_EQ(attention_tokens(4, kClusterTokens / 4 + 1, 100000), 100000);
  EXPECT_EQ(attention_tokens(1, 5, 1000), 1000);
}

TEST(CudaHeads, OnlyBuiltSizesAreServed) {
  for (int dim : {64, 80, 96, 128, 256}) EXPECT_TRUE(attention_serves(dim)) << dim;
  for (int dim : {16, 48, 112, 192}) EXPECT_FALSE(attention_serves(dim)) << dim;
}

class Recorder final : public trace::Sink {
 public:
  void begin_step(const trace::Step&) override {}
  void end_step() override {}
  void begin_op(const trace::Op& op) override { ops.push_back(op); }
  void end_op() override { ++ended; }
  void replayed_op(const trace::Op& op) override { replayed.push_back(op); }
  std::vector<trace::Op> ops, replayed;
  int ended = 0;
};

TEST(OpLog, NotesOnceAndRepeatsWithTheBytesOfTheMoment) {
  OpLog log;
  std::vector<OpNote> notes;
  int launches = 0;
  log.start_noting(&notes);
  log.run({"first_kernel", {Bytes(100)}, 0}, [&] { ++launches; });
  log.run({"second_kernel", {Bytes(10), Bytes(3)}, 1}, [&] { ++launches; });
  log.stop_noting();
  EXPECT_EQ(launches, 2);
  ASSERT_EQ(notes.size(), 2u);
  Recorder sink;
  trace::install(&sink);
  log.set_visible(7);
  log.replay(notes);
  log.set_visible(8);
  log.replay(notes);
  trace::install(nullptr);
  ASSERT_EQ(sink.replayed.size(), 4u);
  EXPECT_EQ(sink.replayed[0].kernel, "first_kernel");
  EXPECT_EQ(sink.replayed[1].declared.value, 10 + 3 * 7);
  EXPECT_EQ(sink.replayed[3].declared.value, 10 + 3 * 8);
  EXPECT_EQ(sink.replayed[3].layer, 1);
  EXPECT_TRUE(sink.ops.empty());
}

TEST(OpLog, AFailedLaunchIsKeptAndStopsTheOthers) {
  OpLog log;
  Recorder sink;
  trace::install(&sink);
  int launches = 0;
  const auto fail = [] { throw CudaError("cuda", "launch", 1, "cudaErrorX", "bad", "f.cu", 3); };
  log.run({"good_kernel", {Bytes(1)}}, [&] { ++launches; });
  log.run({"bad_kernel", {Bytes(1)}}, fail);
  log.run({"late_kernel", {Bytes(1)}}, [&] { ++launches; });
  trace::install(nullptr);
  EXPECT_EQ(launches, 1);
  EXPECT_EQ(sink.ops.size(), 2u);
  EXPECT_EQ(sink.ended, 2);
  const auto failure = log.take_failure();
  ASSERT_TRUE(failure);
  EXPECT_NE(failure->find("cudaErrorX"), std::string::npos);
  EXPECT_FALSE(log.take_failure());
  std::vector<OpNote> notes;
  log.start_noting(&notes);
  EXPECT_THROW(log.run({"bad_kernel", {Bytes(1)}}, fail), CudaError);  // ends a capture
}

CacheRequest request_of(const char* kv, int slots, int64_t max_tokens) {
  CacheRequest request{.residual_length = 128, .slots = slots};
  request.layers = KvPolicy::parse(kv)->resolve(28).value();
  request.max_tokens = max_tokens;
  request.max_prompt = 512;
  return request;
}

TEST(KvMemory, PlansWhatTheFootprintSays) {
  for (const char* kv : {"fp16", "int4-quanto", "int8-hqq", "int2-quanto", "fp16/int4-quanto",
                         "int4-quanto@0,-1=fp16"}) {
    SCOPED_TRACE(kv);
    const CacheRequest request = request_of(kv, 3, 2048);
    KvMemory memory;
    const auto split = memory.plan({request, DType::kF16, 4, 128, KvHolding::kMaterialize});
    ASSERT_TRUE(split) << split.error().message;
    const CacheSpec spec{.layers = request.layers,
                         .dtype = DType::kF16,
                         .residual_length = 128,
                         .kv_heads = 4,
                         .head_dim = 128,
                         .slots = 3,
                         .max_tokens = 2048};
    const MemorySplit expected = cache_footprint(spec, 2048, 2048);
    const auto near = [](Bytes a, Bytes b) {
      EXPECT_NEAR(static_cast<double>(a.value), static_cast<double>(b.value), 0.01 * b.value);
    };
    near((*split)[MemoryTag::kKvPayload], expected[MemoryTag::kKvPayload]);
    near((*split)[MemoryTag::kKvScales], expected[MemoryTag::kKvScales]);
    near((*split)[MemoryTag::kKvResidual], expected[MemoryTag::kKvResidual]);
  }
}

TEST(KvMemory, FusedExactCachesNeedNoReadBuffers) {
  KvMemory memory;
  const auto split =
      memory.plan({request_of("fp16", 2, 4096), DType::kF16, 4, 128, KvHolding::kNone});
  ASSERT_TRUE(split);
  EXPECT_EQ((*split)[MemoryTag::kKvPayload].value, 57344ll * 4096 * 2);
  EXPECT_LT((*split)[MemoryTag::kWorkspace].value, 4096);
  EXPECT_FALSE(memory.any_quantized());
}

// Tensors pass together as far as half a gigabyte goes; at 131,072 tokens that is a few.
TEST(KvMemory, DecodedTensorsPassTogether) {
  for (const auto& [tokens, rows] : {std::pair<int64_t, int>{2048, 56}, {131072, 2}}) {
    KvMemory memory;
    const auto split =
        memory.plan({request_of("int8-hqq", 2, tokens), DType::kF16, 4, 128, KvHolding::kDecoded});
    ASSERT_TRUE(split);
    EXPECT_EQ((*split)[MemoryTag::kKvPayload].value, 57344 * tokens * 2);
    EXPECT_EQ(memory.passing_rows(), rows);
    EXPECT_LT((*split)[MemoryTag::kWorkspace].value, int64_t{513} << 20);
  }
}

TEST(KvMemory, RefusesWhatNoDeviceLayoutServes) {
  KvMemory memory;
  const auto split = memory.plan(
      {request_of("int3-hqq:axis=1", 1, 256), DType::kF16, 4, 128, KvHolding::kMaterialize});
  ASSERT_FALSE(split);
  EXPECT_EQ(split.error().kind, ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace kvtoll::cuda
