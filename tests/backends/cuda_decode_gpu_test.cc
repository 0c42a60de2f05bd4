// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The CUDA backend against the CPU backend, one case table: every head size and ratio of query to
// kv heads, odd head counts, prompts around the tile edges, batches, both dtypes and launch modes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kvtoll/backends/backend.h"
#include "kvtoll/engine/step.h"
#include "support/gpu_test.h"
#include "support/random_checkpoint.h"
#include "support/small_backend.h"

namespace kvtoll {
namespace {

using test::relative_error;

struct Case {
  const char* name;
  ModelFamily family;
  int hidden, heads, kv_heads, head_dim, ffn;
  int prompt, steps, batch;
  DType dtype;
  Launch launch;
};

constexpr auto kLlama = ModelFamily::kLlama;
constexpr auto kQwen2 = ModelFamily::kQwen2;
constexpr auto kQwen3 = ModelFamily::kQwen3;

constexpr Case kCases[] = {
    // head sizes and ratios
    {"d64_gqa1", kLlama, 192, 3, 3, 64, 256, 17, 4, 1, DType::kF16, Launch::kEager},
    {"d64_gqa2", kQwen2, 128, 2, 1, 64, 192, 15, 4, 1, DType::kF16, Launch::kGraph},
    {"d64_gqa7", kQwen2, 448, 7, 1, 64, 320, 33, 4, 1, DType::kF16, Launch::kGraph},
    {"d80_gqa3", kLlama, 240, 9, 3, 80, 328, 31, 4, 1, DType::kF16, Launch::kGraph},
    {"d80_gqa5", kQwen3, 160, 5, 1, 80, 200, 64, 4, 1, DType::kBF16, Launch::kEager},
    {"d96_gqa4", kQwen3, 200, 4, 1, 96, 264, 63, 4, 1, DType::kF16, Launch::kGraph},
    {"d128_gqa7", kQwen2, 512, 14, 2, 128, 768, 65, 4, 1, DType::kF16, Launch::kGraph},
    {"d128_gqa8", kLlama, 256, 8, 1, 128, 512, 127, 4, 1, DType::kBF16, Launch::kGraph},
    {"d128_gqa6", kQwen3, 256, 6, 1, 128, 512, 129, 4, 1, DType::kF16, Launch::kEager},
    {"d128_gqa12", kLlama, 256, 12, 1, 128, 512, 40, 4, 1, DType::kF16, Launch::kGraph},
    {"d256_gqa2", kLlama, 256, 4, 2, 256, 512, 48, 4, 1, DType::kF16, Launch::kGraph},
    {"d256_gqa5", kQwen2, 320, 5, 1, 256, 512, 200, 4, 1, DType::kBF16, Launch::kGraph},
    // lengths
    {"prompt1", kQwen2, 256, 4, 2, 64, 512, 1, 20, 1, DType::kF16, Launch::kGraph},
    {"prompt2", kQwen2, 256, 4, 2, 64, 512, 2, 5, 1, DType::kF16, Launch::kGraph},
    {"prompt1023", kQwen2, 256, 4, 2, 128, 512, 1023, 4, 1, DType::kF16, Launch::kGraph},
    {"prompt1025", kQwen2, 256, 4, 2, 128, 512, 1025, 4, 1, DType::kF16, Launch::kGraph},
    {"prompt2500", kQwen3, 128, 4, 2, 64, 128, 2500, 3, 1, DType::kF16, Launch::kGraph},
    // batches
    {"batch2", kQwen2, 256, 4, 2, 64, 512, 19, 5, 2, DType::kF16, Launch::kGraph},
    {"batch3_bf16", kLlama, 256, 6, 2, 128, 512, 30, 5, 3, DType::kBF16, Launch::kEager},
    {"batch5_k8", kLlama, 200, 4, 1, 96, 264, 12, 3, 5, DType::kF16, Launch::kGraph},
    {"batch7_wide", kLlama, 4200, 6, 2, 64, 264, 10, 3, 7, DType::kF16, Launch::kGraph},
    {"batch8", kQwen3, 256, 8, 2, 128, 512, 40, 4, 8, DType::kF16, Launch::kGraph},
    {"batch17", kQwen2, 128, 2, 1, 64, 256, 9, 4, 17, DType::kF16, Launch::kGraph},
    {"batch31_bf16", kLlama, 256, 8, 2, 128, 784, 7, 3, 31, DType::kBF16, Launch::kEager},
    {"batch33", kQwen2, 256, 4, 2, 64, 512, 6, 3, 33, DType::kF16, Launch::kGraph},
    {"batch64", kQwen2, 128, 7, 1, 64, 256, 5, 3, 64, DType::kF16, Launch::kGraph},
};

ModelConfig config_of(const Case& c) {
  ModelConfig m;
  m.name = c.name;
  m.family = c.family;
  m.layers = 2;
  m.hidden = c.hidden;
  m.heads = c.heads;
  m.kv_heads = c.kv_heads;
  m.head_dim = c.head_dim;
  m.ffn = c.ffn;
  m.vocab = 1000;
  m.max_position = 8192;
  m.rope.theta = 1e5;
  m.qkv_bias = c.family == kQwen2;
  m.qk_norm = c.family == kQwen3;
  m.o_bias = m.mlp_bias = c.family == kLlama;
  m.tied_embeddings = c.family == kQwen3;
  m.eos_tokens = {2};
  return m;
}

std::vector<int32_t> prompt_of(int tokens, int slot) {
  std::vector<int32_t> ids;
  Rng rng(77, static_cast<uint64_t>(slot));
  for (int i = 0; i < tokens; ++i) ids.push_back(static_cast<int32_t>(rng.below(1000)));
  return ids;
}

std::unique_ptr<Backend> open(const char* name, const Case& c, bool on_device) {
  const ModelConfig config = config_of(c);
  auto checkpoint = std::make_shared<test::RandomCheckpoint>(config, 5, on_device);
  BackendOptions options{.weights = c.dtype, .cache = c.dtype};
  const bool cuda = std::string(name) == "cuda";
  options.attention = cuda ? Attention::kFused : Attention::kMaterialize;
  options.launch = cuda ? c.launch : Launch::kEager;
  options.threads = 2;
  auto backend = make_backend(name, checkpoint, options);
  EXPECT_TRUE(backend) << backend.error().message;
  if (!backend) return nullptr;
  KvFormat format;
  format.name = c.dtype == DType::kF16 ? "fp16" : "bf16";
  format.dtype = c.dtype;
  CacheRequest request;
  request.layers.assign(static_cast<size_t>(config.layers), KvPair{format, format});
  request.slots = c.batch;
  request.max_tokens = c.prompt + c.batch + c.steps + 1;
  request.max_prompt = c.prompt + c.batch;
  const auto reserved = (*backend)->reserve(request);
  EXPECT_TRUE(reserved) << reserved.error().message;
  return reserved ? std::move(*backend) : nullptr;
}

class CudaDecode : public test::GpuTest, public testing::WithParamInterface<Case> {};

// Rounding budget: activations between products are rounded to the weights' dtype (2^-11 or 2^-8
// relative, each), accumulated over two layers of random weights; sums are fp32 on both sides.
double budget(DType dtype) { return dtype == DType::kF16 ? 4e-3 : 3e-2; }

// The second half of a prompt, behind a first half that an earlier prompt left in the slot.
TEST_P(CudaDecode, ARewoundSlotGoesOnLikeAFreshOne) {
  const Case& c = GetParam();
  const auto cuda = open("cuda", c, true);
  ASSERT_TRUE(cuda);
  const std::vector<int32_t> prompt = prompt_of(c.prompt, 0);
  const SlotTokens whole[] = {{0, 0, prompt}};
  ASSERT_TRUE(run_step(*cuda, {.slots = whole, .prefill = true}));
  const auto row = cuda->logits(0);
  const std::vector<float> fresh(row.begin(), row.end());
  const SlotTokens next[] = {{0, c.prompt, {}}};
  ASSERT_TRUE(run_step(*cuda, {.slots = next}));
  cuda->rewind(0, c.prompt / 2);
  ASSERT_EQ(cuda->length(0), c.prompt / 2);
  const SlotTokens rest[] = {{0, c.prompt / 2, std::span(prompt).subspan(prompt.size() / 2)}};
  ASSERT_TRUE(run_step(*cuda, {.slots = rest, .prefill = true}));
  EXPECT_LE(relative_error(cuda->logits(0), fresh), budget(c.dtype));
  EXPECT_EQ(cuda->length(0), c.prompt);
}

TEST_P(CudaDecode, LogitsAreTheCpus) {
  const Case& c = GetParam();
  auto cpu = open("cpu", c, false), cuda = open("cuda", c, c.batch % 2 == 1);
  ASSERT_TRUE(cpu && cuda);
  std::vector<int32_t> next(static_cast<size_t>(c.batch));
  for (int slot = 0; slot < c.batch; ++slot) {  // sequences of different lengths
    const auto ids = prompt_of(c.prompt + slot, slot);
    const SlotTokens tokens[] = {{slot, 0, ids}};
    for (Backend* b : {cpu.get(), cuda.get()})
      ASSERT_TRUE(run_step(*b, {.slots = tokens, .prefill = true}));
    next[static_cast<size_t>(slot)] = cpu->next_tokens()[0];
    EXPECT_LT(relative_error(cuda->logits(0), cpu->logits(0)), budget(c.dtype))
        << "prompt " << slot;
  }
  for (int step = 0; step < c.steps; ++step) {  // both are fed the CPU's tokens
    std::vector<SlotTokens> slots;
    for (int slot = 0; slot < c.batch; ++slot)
      slots.push_back({slot, cpu->length(slot), {&next[static_cast<size_t>(slot)], 1}});
    for (Backend* b : {cpu.get(), cuda.get()}) ASSERT_TRUE(run_step(*b, {.slots = slots}));
    for (int slot = 0; slot < c.batch; ++slot)
      EXPECT_LT(relative_error(cuda->logits(slot), cpu->logits(slot)), budget(c.dtype))
          << "step " << step << " slot " << slot;
    const auto tokens = cpu->next_tokens();
    std::copy(tokens.begin(), tokens.end(), next.begin());
  }
}

// A prompt of decode steps: the kernels of one row from the first token on, no library among them,
// so that compute-sanitizer's initcheck knows who wrote what (scripts/sanitize_gpu).
TEST_P(CudaDecode, TokensFedOneByOneGiveTheCpusPrompt) {
  Case c = GetParam();
  c.prompt = std::min(c.prompt, 70);
  c.batch = 1;
  auto cpu = open("cpu", c, false), cuda = open("cuda", c, true);
  ASSERT_TRUE(cpu && cuda);
  const auto ids = prompt_of(c.prompt, 0);
  const SlotTokens whole[] = {{0, 0, ids}};
  ASSERT_TRUE(run_step(*cpu, {.slots = whole, .prefill = true}));
  for (int i = 0; i < c.prompt; ++i) {
    const SlotTokens one[] = {{0, i, std::span(ids).subspan(static_cast<size_t>(i), 1)}};
    ASSERT_TRUE(run_step(*cuda, {.slots = one}));
    ASSERT_GE(cuda->next_tokens()[0], 0);
  }
  EXPECT_LT(relative_error(cuda->logits(0), cpu->logits(0)), budget(c.dtype));
}

INSTANTIATE_TEST_SUITE_P(Cases, CudaDecode, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

// Greedy decoding on the device's own tokens, eager and captured, against the CPU's: every sequence
// is the same until two logits are nearer than the rounding budget.
TEST_P(CudaDecode, GreedyTokensAgreeOrTheGapExplainsIt) {
  const Case& c = GetParam();
  auto cpu = open("cpu", c, false), cuda = open("cuda", c, true);
  ASSERT_TRUE(cpu && cuda);
  std::vector<bool> parted(static_cast<size_t>(c.batch));
  const auto compare = [&](int slot, int row, int step) {
    const int32_t expected = cpu->next_tokens()[static_cast<size_t>(row)];
    const int32_t got = cuda->next_tokens()[static_cast<size_t>(row)];
    if (parted[static_cast<size_t>(slot)] || got == expected) return;
    const auto logits = cpu->logits(row);
    const float largest = std::abs(*std::ranges::max_element(
        logits, [](float a, float b) { return std::abs(a) < std::abs(b); }));
    EXPECT_LT(logits[static_cast<size_t>(expected)] - logits[static_cast<size_t>(got)],
              2.0 * budget(c.dtype) * largest)
        << "step " << step << " slot " << slot;
    parted[static_cast<size_t>(slot)] = true;
  };
  for (int slot = 0; slot < c.batch; ++slot) {
    const auto ids = prompt_of(c.prompt + slot, slot);
    const SlotTokens prompt[] = {{slot, 0, ids}};
    for (Backend* b : {cpu.get(), cuda.get()})
      ASSERT_TRUE(run_step(*b, {.slots = prompt, .prefill = true}));
    compare(slot, 0, 0);
  }
  for (int step = 1; step <= c.steps; ++step) {
    std::vector<SlotTokens> own;
    for (int slot = 0; slot < c.batch; ++slot) own.push_back({slot, cpu->length(slot), {}});
    for (Backend* b : {cpu.get(), cuda.get()}) ASSERT_TRUE(run_step(*b, {.slots = own}));
    for (int slot = 0; slot < c.batch; ++slot) compare(slot, slot, step);
  }
}

// All tokens of a few prompts decoded together, step by step: each step waited for, or one ahead.
std::vector<int32_t> decoded(Backend& cuda, const Case& c, bool ahead) {
  std::vector<int32_t> all;
  const auto take = [&] {
    const auto tokens = cuda.next_tokens();
    all.insert(all.end(), tokens.begin(), tokens.end());
  };
  for (int slot = 0; slot < c.batch; ++slot) {
    cuda.clear_slot(slot);
    const auto ids = prompt_of(c.prompt + slot, slot);
    const SlotTokens prompt[] = {{slot, 0, ids}};
    EXPECT_TRUE(run_step(cuda, {.slots = prompt, .prefill = true}));
    take();
  }
  for (int step = 0; step < c.steps; ++step) {
    std::vector<SlotTokens> own;
    for (int slot = 0; slot < c.batch; ++slot) own.push_back({slot, cuda.length(slot), {}});
    EXPECT_TRUE(run_step(cuda, {.slots = own, .ahead = ahead && step > 0}));
    if (!ahead || step > 0) take();
  }
  if (ahead) take();
  return all;
}

TEST_P(CudaDecode, StepsQueuedAheadGiveTheSameTokens) {
  const Case& c = GetParam();
  const auto cuda = open("cuda", c, true);
  ASSERT_TRUE(cuda);
  EXPECT_EQ(cuda->runs_ahead(), c.launch == Launch::kGraph);
  if (!cuda->runs_ahead()) return;
  const auto first = decoded(*cuda, c, true);  // captures its graph meanwhile
  const auto in_turn = decoded(*cuda, c, false);
  EXPECT_EQ(first, in_turn);
  EXPECT_EQ(decoded(*cuda, c, true), in_turn);
  EXPECT_EQ(in_turn.size(), static_cast<size_t>(c.batch) * (1 + static_cast<size_t>(c.steps)));
}

}  // namespace
}  // namespace kvtoll
