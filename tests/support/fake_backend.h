// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A backend that computes nothing: it keeps the cache's length, spins for a set time in each
// operation, marks its kernels, and refuses what the test tells it to. For tests of studies.
// Example: FakeBackend backend({.refuse = {{2, {ErrorKind::kOutOfMemory, "full"}}}});  // int2-*
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/cache/schedule.h"
#include "kvtoll/core/clock.h"

namespace kvtoll::testing {

struct FakePlan {
  std::map<int, Error> refuse;      // by bits of layer 0's keys: what reserve() says
  std::map<int, Error> fail_steps;  // by bits: what the tenth decode step says
  Nanoseconds step{20'000};         // of one decode step; quantized formats take half as long again
  bool ahead = false;               // offers to run ahead
};

// What a test can look at after the backend is gone.
struct FakeLog {
  int made = 0, reserves = 0, sequences = 0, steps = 0;
  std::vector<int> bits_by_sequence;  // the order in which formats were run
};

class FakeBackend final : public Backend {
 public:
  FakeBackend(FakePlan plan, FakeLog& log) : plan_(std::move(plan)), log_(log) {
    config_ = {.name = "fake",
               .layers = 2,
               .hidden = 64,
               .heads = 2,
               .kv_heads = 1,
               .head_dim = 32,
               .ffn = 128,
               .vocab = 100};
    ++log_.made;
  }

  BackendInfo info() const override { return {"cpu", "fake device", 100.0, {"fake_attention"}}; }
  const ModelConfig& config() const override { return config_; }

  Result<void> reserve(const CacheRequest& request) override {
    ++log_.reserves;
    bits_ = request.layers.front().key.bits;
    if (const auto refused = plan_.refuse.find(bits_); refused != plan_.refuse.end())
      return tl::unexpected<Error>(refused->second);
    schedules_.assign(static_cast<size_t>(request.slots), CacheSchedule(request.residual_length));
    return {};
  }
  int slots() const override { return static_cast<int>(schedules_.size()); }
  void clear_slot(int slot) override { schedules_[static_cast<size_t>(slot)].clear(); }
  void rewind(int slot, int64_t length) override {
    CacheSchedule& schedule = schedules_[static_cast<size_t>(slot)];
    schedule.clear();
    schedule.prefill(length);
  }
  int64_t length(int slot) const override { return schedules_[static_cast<size_t>(slot)].length(); }

  Result<bool> begin_step(const StepInput& input) override {
    rows_ = static_cast<int>(input.slots.size());
    flushed_ = false;
    EXPECT_TRUE(!input.ahead || (plan_.ahead && queued_ == 1 && !input.prefill));
    queued_ = input.ahead ? 2 : 1;
    const int64_t context = length(input.slots.front().slot);
    for (const SlotTokens& tokens : input.slots) {
      CacheSchedule& schedule = schedules_[static_cast<size_t>(tokens.slot)];
      if (input.prefill)
        schedule.prefill(static_cast<int64_t>(tokens.tokens.size()));
      else if (schedule.update(1) && quantized())
        flushed_ = true;
    }
    if (input.prefill) {
      ++log_.sequences;
      log_.bits_by_sequence.push_back(bits_);
      decode_steps_ = 0;
    } else {
      ++decode_steps_, ++log_.steps;
    }
    const auto kind = input.prefill ? trace::StepKind::kPrefill
                      : flushed_    ? trace::StepKind::kFlush
                                    : trace::StepKind::kAppend;
    scope_.emplace(trace::Step{kind, context, rows_});
    return true;
  }
  void embed() override { work("fake_embed", 0.05); }
  void norm_qkv(int) override { work("fake_gemv_qkv", 0.1); }
  void rope_append(int) override {
    if (quantized()) work("fake_dequantize", 0.25);
  }
  void attend(int) override { work("fake_attention", 0.2); }
  void output_add(int) override {}
  void norm_gate_up(int) override { work("fake_gemv_gate_up", 0.1); }
  void down_add(int) override {}
  void norm_lm_head() override { work("fake_gemv_lm_head", 0.1); }
  void argmax() override { work("fake_argmax", 0.05); }
  Result<void> end_step() override {
    scope_.reset();
    const auto failing = plan_.fail_steps.find(bits_);
    if (failing != plan_.fail_steps.end() && decode_steps_ == 10)
      return tl::unexpected<Error>(failing->second);
    return {};
  }

  std::span<const int32_t> next_tokens() override {
    EXPECT_GT(queued_, 0);
    --queued_;
    tokens_.assign(static_cast<size_t>(rows_), 7);
    return tokens_;
  }
  std::span<const float> logits(int) override { return {}; }
  bool runs_ahead() const override { return plan_.ahead; }
  int queued() const { return queued_; }  // steps whose tokens were not asked for
  bool last_step_flushed() const override { return flushed_; }
  MemorySplit memory() const override {
    MemorySplit split;
    split[MemoryTag::kWeights] = Bytes(1000);
    split[MemoryTag::kKvPayload] = Bytes(bits_ * 10);
    return split;
  }
  MemorySplit peak_memory() const override { return memory(); }

 private:
  bool quantized() const { return bits_ < 16; }
  void work(std::string_view kernel, double share) const {
    const trace::Span span({kernel, Bytes(1000), 0});
    const auto ns = static_cast<int64_t>(share * static_cast<double>(plan_.step.value));
    for (const Nanoseconds end = now() + Nanoseconds(ns); now() < end;) {
    }
  }

  FakePlan plan_;
  FakeLog& log_;
  ModelConfig config_;
  std::vector<CacheSchedule> schedules_;
  std::optional<trace::StepScope> scope_;
  std::vector<int32_t> tokens_;
  int bits_ = 16, rows_ = 0, decode_steps_ = 0, queued_ = 0;
  bool flushed_ = false;
};

}  // namespace kvtoll::testing
