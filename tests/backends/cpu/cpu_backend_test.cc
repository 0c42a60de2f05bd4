// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cpu/cpu_backend.h"

#include <set>

#include "kvtoll/cache/footprint.h"
#include "support/golden_checkpoint.h"

namespace kvtoll {
namespace {

constexpr const char* kModel = "qwen2-untied-fp16-sharded";  // 1 kv head, head_dim 16, 2 layers

std::unique_ptr<Backend> make(const std::string& kv, BackendOptions options, int slots = 1,
                              int residual = 4) {
  auto backend = test::open_backend(test::golden_path(kModel), kv, options, slots, residual);
  EXPECT_TRUE(backend) << backend.error().message;
  return std::move(*backend);
}

// A step as engine/step.cc runs it; this room does not know that file.
Result<void> step(Backend& backend, std::vector<SlotTokens> slots, bool prefill = false) {
  KVTOLL_TRY(const bool wanted, backend.begin_step({.slots = slots, .prefill = prefill}));
  EXPECT_TRUE(wanted);
  backend.embed();
  for (int layer = 0; layer < backend.config().layers; ++layer) {
    backend.norm_qkv(layer);
    backend.rope_append(layer);
    backend.attend(layer);
    backend.output_add(layer);
    backend.norm_gate_up(layer);
    backend.down_add(layer);
  }
  backend.norm_lm_head();
  backend.argmax();
  return backend.end_step();
}

const std::vector<int32_t> kPrompt = {5, 9, 13, 2, 44, 60, 1, 7, 21};

// Logits after the prompt and after each of `steps` greedy tokens, one after the other.
std::vector<float> run(Backend& backend, int steps) {
  std::vector<float> all;
  EXPECT_TRUE(step(backend, {{0, 0, kPrompt}}, true));
  for (int i = 0;; ++i) {
    const auto row = backend.logits(0);
    all.insert(all.end(), row.begin(), row.end());
    if (i == steps) return all;
    EXPECT_TRUE(step(backend, {{0, backend.length(0), {}}}));
  }
}

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0.0, largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(double{a[i]} - double{b[i]}));
    largest = std::max(largest, std::abs(double{b[i]}));
  }
  return worst / largest;
}

TEST(CpuBackend, ResultsDoNotDependOnTheNumberOfThreads) {
  for (const char* kv : {"fp32", "int4-quanto:group=16"}) {
    const auto one = run(*make(kv, test::fp32_options(1)), 12);
    EXPECT_EQ(run(*make(kv, test::fp32_options(3)), 12), one) << kv;
  }
}

// Fine formats stay close to the exact cache, coarse ones do not: the quantized store is really
// what attention reads.
TEST(CpuBackend, QuantizedCachesReadTheirStore) {
  const auto exact = run(*make("fp32", test::fp32_options()), 12);
  const size_t prompt = 64;  // logits of the prompt's last token come first
  const auto int8 = run(*make("int8-hqq:axis=1,group=16", test::fp32_options()), 12);
  const auto int2 = run(*make("int2-quanto:group=16", test::fp32_options()), 12);
  EXPECT_TRUE(std::equal(exact.begin(), exact.begin() + prompt, int2.begin()));  // exact prefill
  EXPECT_GT(difference(int8, exact), 0.0);
  EXPECT_LT(difference(int8, exact), 0.05);
  EXPECT_GT(difference(int2, exact), 0.05);
}

TEST(CpuBackend, QuantizedPrefillReadsBackWhatWasStored) {
  BackendOptions options = test::fp32_options();
  options.prefill = Prefill::kQuantized;
  const auto exact = run(*make("fp32", options), 0);
  EXPECT_EQ(run(*make("fp32", test::fp32_options()), 0), exact);
  const double gap = difference(run(*make("int8-hqq:axis=1,group=16", options), 0), exact);
  EXPECT_GT(gap, 0.0);
  EXPECT_LT(gap, 0.05);
  EXPECT_GT(difference(run(*make("int2-quanto:group=16", options), 0), exact), 0.05);
}

TEST(CpuBackend, HalfPrecisionWeightsAndCacheStayClose) {
  const auto exact = run(*make("fp32", test::fp32_options()), 12);
  EXPECT_LT(difference(run(*make("fp16", {.threads = 1}), 12), exact), 0.02);
}

TEST(CpuBackend, KvMemoryIsTheFootprint) {
  for (const char* kv : {"fp16", "int4-quanto:group=16", "int4-quanto:group=16@0=bf16"}) {
    auto backend = make(kv, test::fp32_options(), 2, 4);
    const CacheSpec spec{.layers = KvPolicy::parse(kv).value().resolve(2).value(),
                         .dtype = DType::kF32,
                         .residual_length = 4,
                         .kv_heads = 1,
                         .head_dim = 16,
                         .slots = 2,
                         .max_tokens = 192};
    ASSERT_TRUE(step(*backend, {{0, 0, kPrompt}, {1, 0, kPrompt}}, true));
    for (int64_t length = 9; length < 22; ++length) {
      const MemorySplit expected = cache_footprint(spec, 9, length), real = backend->memory();
      for (MemoryTag tag : {MemoryTag::kKvPayload, MemoryTag::kKvScales, MemoryTag::kKvResidual})
        ASSERT_EQ(real[tag].value, expected[tag].value) << kv << " at " << length;
      EXPECT_GE(real[MemoryTag::kWorkspace].value, expected[MemoryTag::kWorkspace].value);
      ASSERT_TRUE(step(*backend, {{0, length, {}}, {1, length, {}}}));
    }
    EXPECT_GE(backend->peak_memory().total().value, backend->memory().total().value);
    backend->clear_slot(0);
    EXPECT_EQ(backend->length(0), 0);
  }
}

class Recorder final : public trace::Sink {
 public:
  Recorder() { trace::install(this); }
  ~Recorder() override { trace::install(nullptr); }
  void begin_step(const trace::Step& step) override {
    EXPECT_FALSE(inside_);
    inside_ = true;
    steps.push_back(step);
  }
  void end_step() override { inside_ = false; }
  void begin_op(const trace::Op& op) override {
    EXPECT_TRUE(inside_);
    EXPECT_GT(op.declared.value, 0) << op.kernel;
    EXPECT_EQ(++open_, 1) << op.kernel << " inside another span";
    kernels.insert(std::string(op.kernel));
    bytes += op.declared;
  }
  void end_op() override { --open_; }
  void replayed_op(const trace::Op&) override { ADD_FAILURE(); }

  std::vector<trace::Step> steps;
  std::set<std::string> kernels;
  Bytes bytes{};

 private:
  bool inside_ = false;
  int open_ = 0;
};

TEST(CpuBackend, EveryOperationIsASpanWithBytes) {
  auto backend = make("int4-quanto:group=16", test::fp32_options(), 1, 3);
  {
    Recorder recorder;
    ASSERT_TRUE(step(*backend, {{0, 0, kPrompt}}, true));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(step(*backend, {{0, backend->length(0), {}}}));
    ASSERT_EQ(recorder.steps.size(), 4u);
    EXPECT_EQ(recorder.steps[0].kind, trace::StepKind::kPrefill);
    EXPECT_EQ(recorder.steps[0].tokens, 9);
    EXPECT_EQ(recorder.steps[1].kind, trace::StepKind::kAppend);
    EXPECT_EQ(recorder.steps[2].context, 10);
    EXPECT_EQ(recorder.steps[3].kind, trace::StepKind::kFlush);
    const std::set<std::string> expected = {
        "cpu_embed",  "cpu_rmsnorm",    "cpu_gemv_qkv",       "cpu_rope",   "cpu_attention",
        "cpu_append", "cpu_dequantize", "cpu_quantize_flush", "cpu_gemv_o", "cpu_gemv_gate_up",
        "cpu_swiglu", "cpu_gemv_down",  "cpu_gemv_lm_head",   "cpu_argmax"};
    EXPECT_EQ(recorder.kernels, expected);
  }
  Recorder recorder;
  ASSERT_TRUE(step(*backend, {{0, backend->length(0), {}}}));
  // A step reads all weights but the embedding table, of which it needs one row.
  const Bytes weights = backend->memory()[MemoryTag::kWeights];
  const int64_t table = 64 * 64 * 4;
  EXPECT_GE(recorder.bytes.value, weights.value - table);
}

TEST(CpuBackend, RefusalsSayWhatThereIs) {
  BackendOptions fused = test::fp32_options(), graph = test::fp32_options();
  fused.attention = Attention::kFused;
  graph.launch = Launch::kGraph;
  for (const BackendOptions& options : {fused, graph}) {
    const auto backend = test::open_backend(test::golden_path(kModel), "fp32", options);
    ASSERT_FALSE(backend);
    EXPECT_EQ(backend.error().kind, ErrorKind::kUnsupported);
  }
  const auto unknown =
      test::open_backend(test::golden_path(kModel), "fp32", test::fp32_options(), 1, 128, "gpu");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, ErrorKind::kUsage);
}

TEST(CpuBackend, ACacheLargerThanMemoryIsOutOfMemoryBeforeAnythingIsAllocated) {
  auto backend = make("fp32", test::fp32_options());
  CacheRequest request{.residual_length = 128, .slots = 1024};
  request.layers = KvPolicy::parse("fp32").value().resolve(2).value();
  request.max_tokens = int64_t{1} << 32;
  const auto reserved = backend->reserve(request);
  ASSERT_FALSE(reserved);
  EXPECT_EQ(reserved.error().kind, ErrorKind::kOutOfMemory);
}

}  // namespace
}  // namespace kvtoll
