// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Models that no table names: random head sizes, ratios, widths, options, caches, batches and
// lengths, with the CUDA backend's logits held against the CPU's. The same ones on every run;
// --gtest_random_seed=N draws others.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/engine/step.h"
#include "support/gpu_test.h"
#include "support/random_checkpoint.h"
#include "support/small_backend.h"

namespace kvtoll {
namespace {

using test::relative_error;

template <class T>
T one_of(Rng& rng, std::initializer_list<T> list) {
  return list.begin()[rng.below(list.size())];
}
bool chance(Rng& rng, int percent) { return static_cast<int>(rng.below(100)) < percent; }

// A code that falls on the other side of a rounding is a whole step apart, and the largest of
// thousands of rows is looked at: the worst of 512 models on an H100 were 0.13 (int4), 0.21 (int3)
// in fp16. Equality bit for bit is what the tests of the formats and of decoded caches ask for.
struct Format {
  const char* kv;
  double budget;
};
// Rounding between products alone: see CudaDecode.
constexpr double kExactHalf = 4e-3, kExactBf16 = 3e-2;
constexpr Format kFormats[] = {{"int4-quanto", 0.15},
                               {"int2-quanto", 0.5},
                               {"int8-hqq", 0.08},
                               {"int4-hqq", 0.25},
                               {"int3-hqq", 0.5},
                               {"int8-hqq:axis=1", 0.08},
                               {"int4-hqq:axis=1", 0.25},
                               {"int4-quanto:axis=-1,group=8", 0.15},
                               {"int4-quanto:group=32", 0.15},
                               {"int8-hqq/int4-quanto", 0.15},
                               {"EXACT/int4-quanto", 0.15},
                               {"int8-hqq/EXACT", 0.08},
                               {"int4-quanto@0=EXACT", 0.15}};

struct Case {
  ModelConfig model;
  DType dtype = DType::kF16;
  std::string kv;
  double budget = 0.0;
  BackendOptions options;  // of the CUDA backend
  int residual = 128, batch = 1, prompt = 1, steps = 4;

  std::string text() const {
    const ModelConfig& m = model;
    return fmt::format(
        "{} layers, hidden {}, {} heads on {} of {}, ffn {}, vocab {}{}{}{}{}{}{}; {} cache {} "
        "residual {}{}{}, {} {}; batch {} prompt {} steps {}",
        m.layers, m.hidden, m.heads, m.kv_heads, m.head_dim, m.ffn, m.vocab,
        m.tied_embeddings ? " tied" : "", m.qkv_bias ? " qkv_bias" : "", m.o_bias ? " o_bias" : "",
        m.mlp_bias ? " mlp_bias" : "", m.qk_norm ? " qk_norm" : "",
        m.rope.scaling == RopeScaling::kNone ? "" : " scaled", dtype_name(dtype), kv, residual,
        options.prefill == Prefill::kQuantized ? " prefill=quantized" : "",
        options.keep_decoded ? " decoded" : "", attention_name(options.attention),
        launch_name(options.launch), batch, prompt, steps);
  }
};

ModelConfig random_model(Rng& rng) {
  ModelConfig m;
  m.name = "random";
  m.family = one_of(rng, {ModelFamily::kLlama, ModelFamily::kQwen2, ModelFamily::kQwen3});
  m.layers = static_cast<int>(rng.between(1, 3));
  m.head_dim = one_of(rng, {64, 80, 96, 128, 256});
  const auto ratio = static_cast<int>(rng.between(1, 12));
  m.kv_heads = static_cast<int>(rng.between(1, std::max(1, std::min(9, 40 / ratio))));
  m.heads = ratio * m.kv_heads;
  m.hidden = static_cast<int>(8 * rng.between(4, 80));
  m.ffn = static_cast<int>(8 * (2 * rng.between(4, 60) + 1));
  m.vocab = static_cast<int>(2 * rng.between(200, 800) + 1);
  m.max_position = 8192;
  m.rms_eps = one_of(rng, {1e-5, 1e-6});
  m.tied_embeddings = chance(rng, 40);
  m.qkv_bias = chance(rng, 50);
  m.o_bias = chance(rng, 25);
  m.mlp_bias = chance(rng, 25);
  m.qk_norm = chance(rng, 40);
  m.rope.theta = one_of(rng, {1e4, 5e5, 1e6});
  if (chance(rng, 25)) {
    m.rope.scaling = RopeScaling::kLlama3;
    m.rope.factor = 8.0;
    m.rope.original_max_position = 128;
  }
  m.eos_tokens = {2};
  return m;
}

// Around the edges of tiles of 16 to 128 tokens and of chunks of a prompt.
int random_prompt(Rng& rng, int batch) {
  if (batch > 8) return static_cast<int>(rng.between(1, 40));
  if (batch == 1 && chance(rng, 4)) return static_cast<int>(1150 + rng.below(5));
  const int edge = one_of(rng, {0, 16, 32, 48, 64, 96, 128, 192, 256});
  return std::max(1, edge + static_cast<int>(rng.between(-2, 2)));
}

Case random_case(uint64_t seed, uint64_t index) {
  Rng rng(seed, index);
  Case c;
  c.model = random_model(rng);
  c.dtype = chance(rng, 70) ? DType::kF16 : DType::kBF16;
  const bool half = c.dtype == DType::kF16;
  const std::string exact = half ? "fp16" : "bf16";
  c.batch = chance(rng, 45)   ? 1
            : chance(rng, 60) ? static_cast<int>(rng.between(2, 8))
                              : static_cast<int>(rng.between(9, 64));
  c.prompt = random_prompt(rng, c.batch);
  c.options = {.weights = c.dtype, .cache = c.dtype};
  c.options.launch = chance(rng, 60) ? Launch::kGraph : Launch::kEager;
  c.kv = exact;
  c.budget = half ? kExactHalf : kExactBf16;
  if (chance(rng, 55)) {
    c.options.attention = chance(rng, 75) ? Attention::kFused : Attention::kMaterialize;
  } else {
    const Format& format = kFormats[rng.below(std::size(kFormats))];
    c.kv = format.kv;
    if (const size_t at = c.kv.find("EXACT"); at != c.kv.npos) c.kv.replace(at, 5, exact);
    c.options.attention = Attention::kMaterialize;
    c.options.prefill = chance(rng, 30) ? Prefill::kQuantized : Prefill::kExact;
    c.budget += format.budget * (half ? 1 : 2);
    c.options.keep_decoded = chance(rng, 30);
    // HQQ's groups of 64 along tokens and heads: lengths that its library does not refuse.
    const int unit = 16;
    c.prompt = (c.prompt + unit - 1) / unit * unit;
  }
  c.residual = one_of(rng, {2, 4, 16, 128});
  c.steps = static_cast<int>(rng.between(3, 6));
  return c;
}

class CudaGeometry : public test::GpuTest, public testing::WithParamInterface<int> {
 protected:
  // Both, or (where the cache is refused) neither.
  bool open(const Case& c) {
    const auto checkpoint = std::make_shared<test::RandomCheckpoint>(c.model, 5, c.batch % 2 == 1);
    BackendOptions cpu = c.options;
    cpu.launch = Launch::kEager;
    cpu.attention = Attention::kMaterialize;
    cpu.threads = 4;
    CacheRequest request{.residual_length = c.residual, .slots = c.batch};
    request.layers = KvPolicy::parse(c.kv)->resolve(c.model.layers).value();
    request.max_prompt = c.prompt + step_of_lengths(c) * (c.batch - 1);
    request.max_tokens = request.max_prompt + c.steps + 1;
    cpu_ = make_backend("cpu", checkpoint, cpu).value();
    auto cuda = make_backend("cuda", checkpoint, c.options);
    EXPECT_TRUE(cuda) << cuda.error().message;
    if (!cuda) return false;
    cuda_ = std::move(*cuda);
    const auto a = cpu_->reserve(request), b = cuda_->reserve(request);
    EXPECT_EQ(a.has_value(), b.has_value()) << (a ? b.error().message : a.error().message);
    return a && b;
  }

  // Sequences of different lengths.
  static int step_of_lengths(const Case& c) {
    const bool exact = c.kv == "fp16" || c.kv == "bf16";
    return exact ? 1 : 16 * (c.batch <= 8);
  }

  // Whether both went on; both or none must.
  bool step(const StepInput& input) {
    const auto a = run_step(*cpu_, input), b = run_step(*cuda_, input);
    EXPECT_EQ(a.has_value(), b.has_value()) << (a ? b.error().message : a.error().message);
    return a && b;
  }

  void compare(const Case& c, int rows, const char* what) {
    for (int row = 0; row < rows; ++row) {
      const double error = relative_error(cuda_->logits(row), cpu_->logits(row));
      worst_ = std::max(worst_, error / c.budget);
      EXPECT_LT(error, c.budget) << what << " row " << row;
    }
  }

  void decode(const Case& c) {
    std::vector<int32_t> next(static_cast<size_t>(c.batch));
    for (int slot = 0; slot < c.batch; ++slot) {
      const auto ids = test::ids(c.prompt + step_of_lengths(c) * slot, 40 + uint64_t(slot), 400);
      const SlotTokens tokens[] = {{slot, 0, ids}};
      if (!step({.slots = tokens, .prefill = true})) return;
      next[static_cast<size_t>(slot)] = cpu_->next_tokens()[0];
      compare(c, 1, "prompt");
    }
    for (int i = 0; i < c.steps; ++i) {  // both are fed the CPU's tokens
      std::vector<SlotTokens> slots;
      for (int slot = 0; slot < c.batch; ++slot)
        slots.push_back({slot, cpu_->length(slot), {&next[static_cast<size_t>(slot)], 1}});
      if (!step({.slots = slots})) return;
      EXPECT_EQ(cuda_->last_step_flushed(), cpu_->last_step_flushed());
      compare(c, c.batch, "step");
      std::ranges::copy(cpu_->next_tokens(), next.begin());
    }
  }

  std::unique_ptr<Backend> cpu_, cuda_;
  double worst_ = 0.0;  // error over budget
};

constexpr int kBatches = 16, kCases = 16;

TEST_P(CudaGeometry, RandomModelsHaveTheCpusLogits) {
  const auto seed = static_cast<uint64_t>(testing::UnitTest::GetInstance()->random_seed());
  double nearest = 0.0;
  std::string nearest_case;
  for (int i = 0; i < kCases; ++i) {
    const Case c = random_case(seed, static_cast<uint64_t>(GetParam() * kCases + i));
    SCOPED_TRACE(c.text());
    worst_ = 0.0;
    if (open(c)) decode(c);
    if (worst_ > nearest) nearest = worst_, nearest_case = c.text();
  }
  fmt::print("at most {:.2f} of the budget: {}\n", nearest, nearest_case);
}

INSTANTIATE_TEST_SUITE_P(Seeds, CudaGeometry, testing::Range(0, kBatches));

}  // namespace
}  // namespace kvtoll
