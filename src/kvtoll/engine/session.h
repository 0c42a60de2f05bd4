// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Generating text: prefill once, decode step by step, with greedy or sampled tokens, and batches
// whose slots are refilled. Example: Session session(backend);  KVTOLL_TRY(auto out,
// session.generate(prompt_ids, {.max_new_tokens = 64}));
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/core/clock.h"
#include "kvtoll/engine/sampler.h"

namespace kvtoll {

struct GenerateOptions {
  int max_new_tokens = 64;
  std::vector<int32_t> stop_tokens;  // empty: run to max_new_tokens (what a measurement does)
  Sampling sampling;
  // Called for every new token; return false to stop (an interrupt). May be empty.
  std::function<bool(int32_t token)> on_token;
  // Asked after every token that does not end its sequence; false ends that sequence as if a stop
  // token had come. index: of the prompt in generate_queue, else 0. May be empty.
  std::function<bool(size_t index, const struct Generation& so_far)> keep_going;
  // generate_queue: a prompt that begins like the one its slot held before is only computed from
  // where they differ. For exact caches (Backend::rewind).
  bool share_prefixes = false;
  // The stream of random numbers of each prompt of generate_queue; empty: its index.
  std::vector<uint64_t> streams;
  // Called before on_token with the logits that the token was chosen from, [vocab]. May be empty.
  std::function<void(std::span<const float> logits)> on_logits;
};

struct StepTime {
  int64_t context;    // cached tokens before the step, longest slot
  Nanoseconds start;  // core/clock.h
  // From the call, or, where the step was queued ahead, from the token before being known on the
  // host, to its own token being known there.
  Nanoseconds time;
  bool flushed;
};

struct Generation {
  std::vector<int32_t> tokens;  // new tokens, the stop token included
  bool stopped = false;         // a stop token ended it (otherwise: length)
};

struct BatchTiming {
  Nanoseconds prefill;          // to the first token of every sequence
  std::vector<StepTime> steps;  // decode steps
};

class Session {
 public:
  explicit Session(Backend& backend) : backend_(backend) {}

  // One sequence in slot 0 (cleared first). Errors: those of the backend's steps.
  Result<Generation> generate(std::span<const int32_t> prompt, const GenerateOptions& options);

  // The measured workload: `batch` copies of one prompt, greedy, exactly new_tokens tokens each,
  // end-of-sequence ignored. Where the backend runs ahead, each step is queued while the one before
  // runs, so that the device never waits for the host. on_step(done) after each decode step;
  // returning false interrupts (kInterrupted). pauses: values of `done` at which nothing may be
  // queued when on_step is called, ascending (instruments start and stop there).
  Result<BatchTiming> generate_fixed(std::span<const int32_t> prompt, int batch, int new_tokens,
                                     const std::function<bool(int)>& on_step = {},
                                     std::span<const int64_t> pauses = {});
  // The tokens of the last generate_fixed, slot 0.
  const std::vector<int32_t>& last_tokens() const { return last_tokens_; }

  // Many prompts through the backend's slots; a slot that finishes takes the next prompt.
  // on_done(index, generation) in order of completion, returning false stops taking new prompts
  // (kInterrupted).
  Result<void> generate_queue(const std::vector<std::vector<int32_t>>& prompts,
                              const GenerateOptions& options,
                              const std::function<bool(size_t, const Generation&)>& on_done);

 private:
  Backend& backend_;
  std::vector<int32_t> last_tokens_;
};

}  // namespace kvtoll
