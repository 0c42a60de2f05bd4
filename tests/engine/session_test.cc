// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/engine/session.h"

#include <map>

#include "support/fake_backend.h"
#include "support/golden_checkpoint.h"

namespace kvtoll {
namespace {

constexpr const char* kModel = "qwen2-untied-fp16-sharded";

std::unique_ptr<Backend> make(const std::string& kv, int slots, int residual = 128) {
  auto backend =
      test::open_backend(test::golden_path(kModel), kv, test::fp32_options(), slots, residual);
  EXPECT_TRUE(backend) << backend.error().message;
  return std::move(*backend);
}

std::vector<std::vector<int32_t>> prompts() {
  std::vector<std::vector<int32_t>> all;
  for (int p = 0; p < 7; ++p) {
    all.emplace_back();
    for (int i = 0; i <= 3 * p; ++i) all.back().push_back((7 * p + 5 * i) % 64);
  }
  return all;
}

std::vector<Generation> alone(const std::string& kv, const GenerateOptions& options) {
  auto backend = make(kv, 1, 3);
  std::vector<Generation> result;
  for (const auto& prompt : prompts())
    result.push_back(Session(*backend).generate(prompt, options).value());
  return result;
}

void expect_queue_equals(const std::vector<Generation>& expected, const std::string& kv,
                         const GenerateOptions& options, int slots) {
  auto backend = make(kv, slots, 3);
  std::map<size_t, Generation> done;
  const auto result = Session(*backend).generate_queue(
      prompts(), options, [&](size_t index, const Generation& generation) {
        EXPECT_TRUE(done.emplace(index, generation).second) << index << " came twice";
        return true;
      });
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(done.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(done[i].tokens, expected[i].tokens) << "prompt " << i << ", " << slots << " slots";
    EXPECT_EQ(done[i].stopped, expected[i].stopped);
  }
}

TEST(Session, GreedyTokensAreTransformers) {
  const auto golden = test::golden_logits(kModel);
  auto backend = make("fp32", 1);
  std::vector<int32_t> streamed;
  GenerateOptions options{.max_new_tokens = static_cast<int>(golden.tokens.size())};
  options.on_token = [&](int32_t token) {
    streamed.push_back(token);
    return true;
  };
  for (int again = 0; again < 2; ++again) {  // the slot is cleared between calls
    streamed.clear();
    const auto out = Session(*backend).generate(golden.prompt, options);
    ASSERT_TRUE(out);
    EXPECT_EQ(out->tokens, golden.tokens);
    EXPECT_EQ(streamed, golden.tokens);
    EXPECT_FALSE(out->stopped);
  }
}

TEST(Session, StopTokenEndsAndIsIncluded) {
  const auto golden = test::golden_logits(kModel);
  auto backend = make("fp32", 1);
  const int32_t stop = golden.tokens[5];
  const auto first = std::ranges::find(golden.tokens, stop) - golden.tokens.begin();
  const auto out = Session(*backend).generate(golden.prompt, {.stop_tokens = {stop}});
  ASSERT_TRUE(out);
  EXPECT_TRUE(out->stopped);
  EXPECT_EQ(out->tokens.size(), static_cast<size_t>(first) + 1);
}

// Each sequence of a batch is computed as if alone, whatever shares the batch with it.
TEST(Session, QueueEqualsOneByOne) {
  GenerateOptions options{.max_new_tokens = 20};
  for (const char* kv : {"fp32", "fp16", "int4-quanto:group=16", "int8-hqq:axis=1,group=16"}) {
    const auto exact = alone(kv, options);
    for (int slots : {1, 2, 3, 8}) expect_queue_equals(exact, kv, options, slots);
  }
}

TEST(Session, QueueWithStopsOfDifferentLengths) {
  GenerateOptions options{.max_new_tokens = 20, .stop_tokens = {}};
  const auto free = alone("fp32", options);
  for (const Generation& g : free) options.stop_tokens.push_back(g.tokens[g.tokens.size() / 2]);
  expect_queue_equals(alone("fp32", options), "fp32", options, 3);
}

TEST(Session, SamplingDependsOnSeedAndIndexOnly) {
  GenerateOptions options{.max_new_tokens = 12,
                          .sampling = {.temperature = 1.0, .top_p = 0.9, .seed = 5}};
  std::map<size_t, std::vector<int32_t>> one, three;
  for (auto* result : {&one, &three}) {
    auto backend = make("fp32", result == &one ? 1 : 3);
    ASSERT_TRUE(
        Session(*backend).generate_queue(prompts(), options, [&](size_t i, const Generation& g) {
          (*result)[i] = g.tokens;
          return true;
        }));
  }
  EXPECT_EQ(one, three);
  options.sampling.seed = 6;
  auto backend = make("fp32", 1);
  EXPECT_NE(Session(*backend).generate(prompts()[6], options)->tokens, one[6]);
}

// Tokens of each prefill.
class PrefillRecorder final : public trace::Sink {
 public:
  void begin_step(const trace::Step& step) override {
    if (step.kind == trace::StepKind::kPrefill) computed.push_back(step.tokens);
  }
  void end_step() override {}
  void begin_op(const trace::Op&) override {}
  void end_op() override {}
  void replayed_op(const trace::Op&) override {}
  std::vector<int64_t> computed;
};

// What a prompt shares with the one before it in its slot is not computed again, and changes
// nothing.
TEST(Session, SharedPrefixesAreComputedOnce) {
  const std::vector<std::vector<int32_t>> asked = {
      {1, 2, 3, 4, 5, 6}, {1, 2, 3, 9, 8}, {1, 2, 3, 9, 8}, {7, 7}, {7, 7, 1, 2}, {7}};
  std::vector<std::vector<float>> logits[2];
  std::vector<int32_t> tokens[2];
  PrefillRecorder recorder;
  for (const bool share : {false, true}) {
    auto backend = make("fp16", 1);
    GenerateOptions options{.max_new_tokens = 4, .share_prefixes = share};
    options.on_logits = [&](std::span<const float> row) {
      logits[share].emplace_back(row.begin(), row.end());
    };
    if (share) trace::install(&recorder);
    ASSERT_TRUE(Session(*backend).generate_queue(asked, options, [&](size_t, const Generation& g) {
      tokens[share].insert(tokens[share].end(), g.tokens.begin(), g.tokens.end());
      return true;
    }));
    trace::install(nullptr);
  }
  EXPECT_EQ(recorder.computed, (std::vector<int64_t>{6, 2, 1, 2, 2, 1}));
  EXPECT_EQ(tokens[0], tokens[1]);
  EXPECT_EQ(logits[0], logits[1]);
}

TEST(Session, QueueStopsWhenAskedTo) {
  auto backend = make("fp32", 2);
  int done = 0;
  const auto result = Session(*backend).generate_queue(
      prompts(), {.max_new_tokens = 3}, [&](size_t, const Generation&) { return ++done < 2; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::kInterrupted);
  EXPECT_LT(done, 5);
}

TEST(Session, FixedWorkloadTimesEveryStepAndMarksFlushes) {
  auto backend = make("int4-quanto:group=16", 2, 4);
  Session session(*backend);
  const std::vector<int32_t> prompt = {1, 2, 3, 4, 5};
  const auto timing = session.generate_fixed(prompt, 2, 14);
  ASSERT_TRUE(timing) << timing.error().message;
  EXPECT_EQ(session.last_tokens().size(), 14u);
  ASSERT_EQ(timing->steps.size(), 13u);
  EXPECT_GT(timing->prefill.value, 0);
  for (size_t i = 0; i < timing->steps.size(); ++i) {
    EXPECT_EQ(timing->steps[i].context, 5 + static_cast<int64_t>(i));
    EXPECT_EQ(timing->steps[i].flushed, i % 4 == 3) << i;  // every residual-th update
    EXPECT_GT(timing->steps[i].time.value, 0);
  }
  EXPECT_EQ(backend->length(0), 5 + 13);
  EXPECT_EQ(backend->length(1), 5 + 13);
}

TEST(Session, FixedWorkloadKeepsOneStepQueuedButAtPauses) {
  testing::FakeLog log;
  testing::FakeBackend backend({.ahead = true}, log);
  CacheRequest request{.residual_length = 128, .slots = 2};
  request.layers = KvPolicy::parse("fp16")->resolve(2).value();
  ASSERT_TRUE(backend.reserve(request));
  std::vector<int> queued;
  const std::vector<int64_t> pauses = {3, 5};
  const std::vector<int32_t> prompt = {1, 2, 3};
  Session session(backend);
  const auto timing = session.generate_fixed(
      prompt, 2, 9,
      [&](int) {
        queued.push_back(backend.queued());
        return true;
      },
      pauses);
  ASSERT_TRUE(timing) << timing.error().message;
  EXPECT_EQ(queued, (std::vector<int>{1, 1, 0, 1, 0, 1, 1, 0}));
  EXPECT_EQ(session.last_tokens().size(), 9u);
  ASSERT_EQ(timing->steps.size(), 8u);
  EXPECT_EQ(log.steps, 8);
  for (size_t i = 0; i < timing->steps.size(); ++i) {
    const StepTime& step = timing->steps[i];
    EXPECT_EQ(step.context, 3 + static_cast<int64_t>(i));
    EXPECT_GT(step.time.value, 0);
    // Steps neither overlap nor leave out what lies between the tokens of a queue.
    if (i == 0) continue;
    const Nanoseconds before = timing->steps[i - 1].start + timing->steps[i - 1].time;
    if (i == 3 || i == 5) {
      EXPECT_GE(step.start, before);
    } else {
      EXPECT_EQ(step.start, before);
    }
  }
}

TEST(Session, FixedWorkloadCanBeInterrupted) {
  auto backend = make("fp32", 1);
  const std::vector<int32_t> prompt = {1, 2};
  const auto timing =
      Session(*backend).generate_fixed(prompt, 1, 50, [](int done) { return done < 7; });
  ASSERT_FALSE(timing);
  EXPECT_EQ(timing.error().kind, ErrorKind::kInterrupted);
  EXPECT_EQ(backend->length(0), 2 + 7);
}

TEST(Session, WrongPromptsAreUsageErrors) {
  auto backend = make("fp32", 1);
  const std::vector<int32_t> none, outside = {1, 64}, negative = {-1};
  for (const auto& prompt : {none, outside, negative}) {
    const auto out = Session(*backend).generate(prompt, {});
    ASSERT_FALSE(out);
    EXPECT_EQ(out.error().kind, ErrorKind::kUsage);
  }
}

// A refusal by the format's own rule reaches the caller; the session can be used again.
TEST(Session, RefusedShapesAreUnsupported) {
  auto backend = make("int4-quanto", 1);  // 1 head x 3 tokens x 16: 64 does not divide it
  const auto out = Session(*backend).generate(std::vector<int32_t>{1, 2, 3}, {});
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().kind, ErrorKind::kUnsupported);
  EXPECT_TRUE(Session(*backend).generate(std::vector<int32_t>{1, 2, 3, 4}, {.max_new_tokens = 3}));
}

}  // namespace
}  // namespace kvtoll
