// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Quantized caches on CUDA under `materialize`, against the CPU backend over the same stores; what
// the path declares to move; greedy tokens over many flushes; memory as the driver sees it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "kvtoll/backends/backend.h"
#include "kvtoll/device/device_info.h"
#include "kvtoll/engine/step.h"
#include "support/gpu_test.h"
#include "support/random_checkpoint.h"
#include "support/small_backend.h"

namespace kvtoll {
namespace {

using test::ids;
using test::open_backend;
using test::relative_error;
using test::small_config;

class CudaGpu : public test::GpuTest {
 protected:
  Bytes driver_free_;
};

struct Format {
  const char* kv;
  double budget;  // a code that falls on the other side of a rounding is a whole step apart
  Prefill prefill = Prefill::kExact;
  FlushRule flush = FlushRule::kAppend;
};

TEST_F(CudaGpu, MaterializedLogitsAreTheCpus) {
  const Format formats[] = {{"fp16", 4e-3},
                            {"int4-quanto", 3e-2},
                            {"int4-quanto", 3e-2, Prefill::kQuantized},
                            {"int4-quanto", 3e-2, Prefill::kExact, FlushRule::kRequantizeAll},
                            {"int2-quanto", 1e-1},
                            {"int8-hqq", 2e-2},
                            {"int8-hqq:axis=1", 2e-2},
                            {"int8-hqq:solver=fp32", 2e-2},
                            {"int4-hqq", 1e-1},
                            {"fp16/int4-quanto", 3e-2},
                            {"int8-hqq/fp16@0=int4-quanto", 3e-2}};
  const auto checkpoint = std::make_shared<test::RandomCheckpoint>(small_config(), 9, false);
  for (const Format& f : formats) {
    SCOPED_TRACE(std::string(f.kv) +
                 (f.prefill == Prefill::kQuantized ? " prefill=quantized" : ""));
    const BackendOptions options{.prefill = f.prefill, .flush = f.flush, .threads = 2};
    auto cpu = open_backend("cpu", checkpoint, options, f.kv, 6, 2, 96, 64);
    auto cuda = open_backend("cuda", checkpoint, options, f.kv, 6, 2, 96, 64);
    ASSERT_TRUE(cpu && cuda);
    std::vector<int32_t> next(2);
    for (int slot = 0; slot < 2; ++slot) {
      const auto prompt = ids(48 + 16 * slot, 3 + static_cast<uint64_t>(slot));
      const SlotTokens tokens[] = {{slot, 0, prompt}};
      for (Backend* b : {cpu.get(), cuda.get()}) {
        const auto done = run_step(*b, {.slots = tokens, .prefill = true});
        ASSERT_TRUE(done) << done.error().message;
      }
      next[static_cast<size_t>(slot)] = cpu->next_tokens()[0];
      EXPECT_LT(relative_error(cuda->logits(0), cpu->logits(0)), f.budget) << "prompt " << slot;
    }
    int flushes = 0;
    for (int step = 0; step < 16; ++step) {
      const SlotTokens slots[] = {{0, cpu->length(0), {&next[0], 1}},
                                  {1, cpu->length(1), {&next[1], 1}}};
      for (Backend* b : {cpu.get(), cuda.get()}) {
        const auto done = run_step(*b, {.slots = slots});
        ASSERT_TRUE(done) << done.error().message;
      }
      EXPECT_EQ(cuda->last_step_flushed(), cpu->last_step_flushed()) << "step " << step;
      flushes += cuda->last_step_flushed();
      for (int slot = 0; slot < 2; ++slot)
        EXPECT_LT(relative_error(cuda->logits(slot), cpu->logits(slot)), f.budget)
            << "step " << step << " slot " << slot;
      std::copy_n(cpu->next_tokens().begin(), 2, next.begin());
    }
    EXPECT_EQ(flushes, std::string(f.kv) == "fp16" ? 0 : 2);
  }
}

// A captured step runs the eager one's launches: not one bit differs, through flushes, when rows
// leave or change places, and when the same prompts run again and replay what was captured.
TEST_F(CudaGpu, MaterializedGraphGivesTheEagerLogits) {
  constexpr int kSlots = 3;
  const auto checkpoint = std::make_shared<test::RandomCheckpoint>(small_config(), 9, true);
  for (const char* kv : {"fp16", "int4-quanto", "int8-hqq", "int4-hqq", "fp16/int4-quanto"}) {
    SCOPED_TRACE(kv);
    auto eager = open_backend("cuda", checkpoint, {}, kv, 6, kSlots, 128, 96);
    auto graph =
        open_backend("cuda", checkpoint, {.launch = Launch::kGraph}, kv, 6, kSlots, 128, 96);
    ASSERT_TRUE(eager && graph);
    for (int run = 0; run < 2; ++run) {
      for (int slot = 0; slot < kSlots; ++slot) {
        const auto prompt = ids(64 + 16 * (slot % 2), 3 + static_cast<uint64_t>(slot));
        const SlotTokens tokens[] = {{slot, 0, prompt}};
        for (Backend* b : {eager.get(), graph.get()}) {
          b->clear_slot(slot);
          ASSERT_TRUE(run_step(*b, {.slots = tokens, .prefill = true}));
        }
      }
      for (int step = 0; step < 15; ++step) {
        std::vector<int> order = {0, 1, 2};
        if (step > 8) order = {2, 0, 1};
        if (step > 11) order = {2, 0};
        std::vector<SlotTokens> slots;
        for (int slot : order) slots.push_back({slot, eager->length(slot), {}});
        for (Backend* b : {eager.get(), graph.get()}) {
          const auto done = run_step(*b, {.slots = slots});
          ASSERT_TRUE(done) << done.error().message;
        }
        EXPECT_EQ(graph->last_step_flushed(), eager->last_step_flushed());
        for (size_t row = 0; row < order.size(); ++row)
          ASSERT_EQ(relative_error(graph->logits(static_cast<int>(row)),
                                   eager->logits(static_cast<int>(row))),
                    0.0)
              << "run " << run << " step " << step << " row " << row;
      }
    }
  }
}

// Tokens of two prompts over many flushes; ahead: each step queued while the one before runs.
std::vector<int32_t> decoded(Backend& cuda, bool ahead) {
  std::vector<int32_t> all;
  const auto take = [&] {
    const auto tokens = cuda.next_tokens();
    all.insert(all.end(), tokens.begin(), tokens.end());
  };
  for (int slot = 0; slot < 2; ++slot) {
    cuda.clear_slot(slot);
    const auto prompt = ids(64 + 16 * slot, 3 + static_cast<uint64_t>(slot));
    const SlotTokens tokens[] = {{slot, 0, prompt}};
    EXPECT_TRUE(run_step(cuda, {.slots = tokens, .prefill = true}));
    take();
  }
  for (int step = 0; step < 32; ++step) {
    const SlotTokens own[] = {{0, cuda.length(0), {}}, {1, cuda.length(1), {}}};
    EXPECT_TRUE(run_step(cuda, {.slots = own, .ahead = ahead && step > 0}));
    if (!ahead || step > 0) take();
  }
  if (ahead) take();
  return all;
}

TEST_F(CudaGpu, StepsQueuedAheadOfFlushesGiveTheEagerTokens) {
  const auto checkpoint = std::make_shared<test::RandomCheckpoint>(small_config(), 9, true);
  for (const char* kv : {"fp16", "int4-quanto", "int8-hqq", "fp16/int4-quanto"}) {
    SCOPED_TRACE(kv);
    auto eager = open_backend("cuda", checkpoint, {}, kv, 6, 2, 128, 96);
    auto graph = open_backend("cuda", checkpoint, {.launch = Launch::kGraph}, kv, 6, 2, 128, 96);
    ASSERT_TRUE(eager && graph);
    const auto expected = decoded(*eager, false);
    for (int run = 0; run < 3; ++run) EXPECT_EQ(decoded(*graph, true), expected) << "run " << run;
  }
}

// Adds up declared bytes by kernel.
class Bytesum final : public trace::Sink {
 public:
  void begin_step(const trace::Step&) override {}
  void end_step() override {}
  void begin_op(const trace::Op& op) override { by_kernel[std::string(op.kernel)] += op.declared; }
  void end_op() override {}
  void replayed_op(const trace::Op& op) override { begin_op(op); }
  std::map<std::string, Bytes> by_kernel;
};

// Hugging Face's cost: 12.5 bytes a cached value for int4-quanto, 15 for int8-hqq, 4 for fp16, and
// 4 for the new token's values, before attention reads anything.
TEST_F(CudaGpu, MaterializeDeclaresHuggingFacesBytes) {
  const std::pair<const char*, double> cases[] = {
      {"fp16", 4.0}, {"int4-quanto", 12.5}, {"int8-hqq", 15.0}, {"int4-hqq", 18.0}};
  const ModelConfig config = small_config();
  const auto checkpoint = std::make_shared<test::RandomCheckpoint>(config, 9, true);
  for (const auto& [kv, per_value] : cases) {
    SCOPED_TRACE(kv);
    constexpr int kSlots = 3;
    auto cuda = open_backend("cuda", checkpoint, {}, kv, 128, kSlots, 600, 512);
    ASSERT_TRUE(cuda);
    std::vector<SlotTokens> step;
    int64_t stored = 0;
    for (int slot = 0; slot < kSlots; ++slot) {
      const auto prompt = ids(512 - 128 * (slot / 2), 4);  // one of another length
      const SlotTokens first[] = {{slot, 0, prompt}};
      ASSERT_TRUE(run_step(*cuda, {.slots = first, .prefill = true}));
      step.push_back({slot, cuda->length(slot), {}});
      stored += cuda->length(slot);
    }
    Bytesum sum;
    trace::install(&sum);
    const bool done = run_step(*cuda, {.slots = step}).has_value();
    trace::install(nullptr);
    ASSERT_TRUE(done);
    Bytes moved;
    for (const auto& [kernel, bytes] : sum.by_kernel)
      if (kernel.starts_with("quanto_") || kernel.starts_with("hqq_") ||
          kernel.starts_with("kv_concat"))
        moved += bytes;
    const double values = 2.0 * config.layers * config.kv_width();
    EXPECT_EQ(static_cast<double>(moved.value),
              values * (static_cast<double>(stored) * per_value + kSlots * 4.0));
  }
}

TEST_F(CudaGpu, GreedyTokensOfTinyModelsAgreeOrTheGapExplainsIt) {
  for (const char* model :
       {"synthetic:tiny-qwen2", "synthetic:tiny-qwen3", "synthetic:tiny-llama"}) {
    SCOPED_TRACE(model);
    const auto checkpoint = open_checkpoint(model).value();
    auto cpu = open_backend("cpu", checkpoint, {.threads = 2}, "fp16", 128, 1, 320, 32);
    std::vector<std::vector<int32_t>> sequences;
    for (Launch launch : {Launch::kEager, Launch::kGraph}) {
      BackendOptions options{.attention = Attention::kFused, .launch = launch};
      auto cuda = open_backend("cuda", checkpoint, options, "fp16", 128, 1, 320, 32);
      ASSERT_TRUE(cpu && cuda);
      cpu->clear_slot(0);
      const auto prompt = ids(32, 8);
      const SlotTokens first[] = {{0, 0, prompt}};
      for (Backend* b : {cpu.get(), cuda.get()})
        ASSERT_TRUE(run_step(*b, {.slots = first, .prefill = true}));
      bool agree = true;
      std::vector<int32_t> tokens;
      for (int step = 0; step < 256; ++step) {
        const int32_t got = cuda->next_tokens()[0];
        tokens.push_back(got);
        if (agree && got != cpu->next_tokens()[0]) {
          agree = false;
          const auto logits = cpu->logits(0);
          const float largest = std::abs(*std::ranges::max_element(
              logits, [](float a, float b) { return std::abs(a) < std::abs(b); }));
          const float gap =
              logits[static_cast<size_t>(cpu->next_tokens()[0])] - logits[static_cast<size_t>(got)];
          RecordProperty(std::string(model) + "_divergence", step);
          EXPECT_LT(gap, 8e-3f * largest) << "step " << step;
        }
        const SlotTokens cuda_next[] = {{0, cuda->length(0), {}}};
        ASSERT_TRUE(run_step(*cuda, {.slots = cuda_next}));
        const SlotTokens cpu_next[] = {{0, cpu->length(0), {}}};
        if (agree) {
          ASSERT_TRUE(run_step(*cpu, {.slots = cpu_next}));
        }
      }
      sequences.push_back(tokens);
    }
    EXPECT_EQ(sequences[0], sequences[1]) << "eager and graph";
  }
}

TEST_F(CudaGpu, RefusalsNameWhatExists) {
  const auto checkpoint = std::make_shared<test::RandomCheckpoint>(small_config(), 9, true);
  CacheRequest request{.slots = 1};
  request.layers = KvPolicy::parse("int4-quanto")->resolve(2).value();
  request.max_tokens = 128;
  request.max_prompt = 64;
  auto fused = make_backend("cuda", checkpoint, {.attention = Attention::kFused}).value();
  const auto refused = fused->reserve(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnsupported);
  EXPECT_NE(refused.error().message.find("materialize"), std::string::npos);
  const auto fp32 = make_backend("cuda", checkpoint, {.weights = DType::kF32});
  ASSERT_FALSE(fp32);
  EXPECT_EQ(fp32.error().kind, ErrorKind::kUnsupported);
}

// Too much memory is a result, with the prediction and what was free; the backend then goes on.
TEST_F(CudaGpu, RunningOutIsAResultAndNothingLeaks) {
  const auto checkpoint = std::make_shared<test::RandomCheckpoint>(small_config(), 9, true);
  auto cuda = make_backend("cuda", checkpoint, {.attention = Attention::kFused}).value();
  const Bytes before = cuda->memory().total();
  CacheRequest request{.slots = 4096};
  request.layers = KvPolicy::parse("fp16")->resolve(2).value();
  request.max_tokens = 1 << 20;
  request.max_prompt = 64;
  const auto refused = cuda->reserve(request);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kOutOfMemory);
  EXPECT_NE(refused.error().message.find("free"), std::string::npos);
  EXPECT_EQ(cuda->memory().total(), before);
  request.slots = 1;
  request.max_tokens = 4096;
  ASSERT_TRUE(cuda->reserve(request));
  const auto prompt = ids(20, 1);
  const SlotTokens first[] = {{0, 0, prompt}};
  EXPECT_TRUE(run_step(*cuda, {.slots = first, .prefill = true}));
}

// What the tags say is what the driver says, within 1 %; cuBLAS and the kernels' code count as
// context and are loaded by a first backend.
TEST_F(CudaGpu, MemoryByTagIsTheDrivers) {
  const auto checkpoint = open_checkpoint("synthetic:qwen2.5-1.5b").value();
  const auto use = [&](Bytes* said) {
    const BackendOptions options{.attention = Attention::kFused};
    auto cuda = open_backend("cuda", checkpoint, options, "fp16", 128, 16, 8192, 512);
    ASSERT_TRUE(cuda);
    const auto prompt = ids(100, 1);
    const SlotTokens first[] = {{0, 0, prompt}};
    ASSERT_TRUE(run_step(*cuda, {.slots = first, .prefill = true}));
    (void)cuda->next_tokens();
    *said = cuda->memory().total();
    driver_free_ = device_info(0).free;
  };
  Bytes said;
  use(&said);
  const Bytes before = device_info(0).free;
  use(&said);
  const auto used = static_cast<double>((before - driver_free_).value);
  EXPECT_NEAR(static_cast<double>(said.value) / used, 1.0, 0.01) << said.value << " of " << used;
}

}  // namespace
}  // namespace kvtoll
