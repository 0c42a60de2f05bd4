// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Decoded caches on CUDA (keep_decoded): what accuracy runs generate is what `materialize`
// generates, through refilled slots, sequences of different lengths, eager and graph.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "kvtoll/backends/backend.h"
#include "kvtoll/engine/session.h"
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

class CudaDecoded : public test::GpuTest {
 protected:
  std::shared_ptr<const Checkpoint> checkpoint_ =
      std::make_shared<test::RandomCheckpoint>(small_config(), 9, true);
};

struct Case {
  const char* kv;
  int head_dim = 64;
};
constexpr Case kCases[] = {{"int4-quanto"},          {"int8-hqq"},
                           {"int8-hqq:axis=1"},      {"int4-hqq"},
                           {"fp16/int4-quanto"},     {"int4-quanto@0=fp16"},
                           {"int8-hqq/int4-quanto"}, {"int4-quanto:axis=-1,group=8"},
                           {"int8-hqq", 80},         {"int4-quanto:group=40", 80},
                           {"int4-hqq:solver=fp32"}};

BackendOptions options_of(Launch launch, Prefill prefill, bool decoded) {
  return {.launch = launch, .prefill = prefill, .keep_decoded = decoded, .threads = 2};
}

// Every row of a step goes through the same kernels over the same values: not one bit differs.
TEST_F(CudaDecoded, LogitsAreTheMaterializedOnes) {
  constexpr int kSlots = 3;
  for (Prefill prefill : {Prefill::kExact, Prefill::kQuantized})
    for (Launch launch : {Launch::kEager, Launch::kGraph})
      for (const auto& [kv, head_dim] : kCases) {
        SCOPED_TRACE(std::string(kv) + (launch == Launch::kGraph ? " graph" : " eager") +
                     (prefill == Prefill::kExact ? "" : " prefill=quantized"));
        const auto materialize = options_of(Launch::kEager, prefill, false);
        ModelConfig config = small_config();
        config.head_dim = head_dim;
        const auto model = std::make_shared<test::RandomCheckpoint>(config, 9, true);
        auto whole = open_backend("cuda", model, materialize, kv, 8, kSlots, 127, 96);
        const auto decoded = options_of(launch, prefill, true);
        auto held = open_backend("cuda", model, decoded, kv, 8, kSlots, 127, 96);
        ASSERT_TRUE(whole && held);
        for (int slot = 0; slot < kSlots; ++slot) {
          const auto prompt = ids(64 + 16 * (slot % 2), 3 + static_cast<uint64_t>(slot));
          const SlotTokens tokens[] = {{slot, 0, prompt}};
          for (Backend* b : {whole.get(), held.get()})
            ASSERT_TRUE(run_step(*b, {.slots = tokens, .prefill = true}));
        }
        for (int step = 0; step < 20; ++step) {
          std::vector<SlotTokens> slots;
          for (int slot = 0; slot < kSlots; ++slot)
            slots.push_back({slot, whole->length(slot), {}});
          for (Backend* b : {whole.get(), held.get()}) ASSERT_TRUE(run_step(*b, {.slots = slots}));
          EXPECT_EQ(held->last_step_flushed(), whole->last_step_flushed());
          for (int slot = 0; slot < kSlots; ++slot)
            ASSERT_EQ(relative_error(held->logits(slot), whole->logits(slot)), 0.0)
                << "step " << step << " slot " << slot;
        }
      }
}

// More prompts than slots, of different lengths.
TEST_F(CudaDecoded, RefilledSlotsGenerateTheSameTokens) {
  std::vector<std::vector<int32_t>> prompts;
  for (int i = 0; i < 70; ++i) prompts.push_back(ids(40 + 8 * (i % 7), static_cast<uint64_t>(i)));
  for (const char* kv : {"int4-quanto", "int8-hqq"}) {
    SCOPED_TRACE(kv);
    std::vector<std::vector<std::vector<int32_t>>> results;
    for (bool decoded : {false, true}) {
      const auto options =
          options_of(decoded ? Launch::kGraph : Launch::kEager, Prefill::kExact, decoded);
      auto backend = open_backend("cuda", checkpoint_, options, kv, 8, 64, 160, 96);
      ASSERT_TRUE(backend);
      Session session(*backend);
      std::vector<std::vector<int32_t>> tokens(prompts.size());
      GenerateOptions generate{.max_new_tokens = 30};
      const auto done = session.generate_queue(prompts, generate,
                                               [&](size_t index, const Generation& generation) {
                                                 tokens[index] = generation.tokens;
                                                 return true;
                                               });
      ASSERT_TRUE(done) << done.error().message;
      results.push_back(tokens);
    }
    EXPECT_EQ(results[0], results[1]);
  }
}

// Alone, a row takes other kernels than materialize's; and the CPU's fp32 activations differ.
TEST_F(CudaDecoded, OneSequenceIsTheCpusWithinTheBudget) {
  for (const char* kv : {"int4-quanto", "int8-hqq"}) {
    SCOPED_TRACE(kv);
    auto cpu = open_backend("cpu", checkpoint_, options_of(Launch::kEager, Prefill::kExact, true),
                            kv, 6, 1, 128, 64);
    auto cuda = open_backend("cuda", checkpoint_, options_of(Launch::kGraph, Prefill::kExact, true),
                             kv, 6, 1, 128, 64);
    ASSERT_TRUE(cpu && cuda);
    const auto prompt = ids(64, 5);
    const SlotTokens first[] = {{0, 0, prompt}};
    for (Backend* b : {cpu.get(), cuda.get()})
      ASSERT_TRUE(run_step(*b, {.slots = first, .prefill = true}));
    int32_t next = cpu->next_tokens()[0];
    for (int step = 0; step < 20; ++step) {
      const SlotTokens slots[] = {{0, cpu->length(0), {&next, 1}}};
      for (Backend* b : {cpu.get(), cuda.get()}) ASSERT_TRUE(run_step(*b, {.slots = slots}));
      EXPECT_LT(relative_error(cuda->logits(0), cpu->logits(0)), 3e-2) << "step " << step;
      next = cpu->next_tokens()[0];
    }
  }
}

}  // namespace
}  // namespace kvtoll
