// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/engine/session.h"

#include <algorithm>
#include <optional>

#include "kvtoll/core/host.h"
#include "kvtoll/core/thread_pool.h"
#include "kvtoll/engine/step.h"

namespace kvtoll {
namespace {

Error interrupted_after(int64_t done, const char* what) {
  return {ErrorKind::kInterrupted, fmt::format("interrupted after {} {}", done, what)};
}

// kept: tokens of the prompt that the slot holds already.
Result<void> prefill(Backend& backend, int slot, std::span<const int32_t> prompt,
                     int64_t kept = 0) {
  if (prompt.empty()) return usage_error("the prompt is empty: it must hold at least one token");
  if (kept > 0)
    backend.rewind(slot, kept);
  else
    backend.clear_slot(slot);
  const SlotTokens tokens[] = {{slot, kept, prompt.subspan(static_cast<size_t>(kept))}};
  return run_step(backend, {.slots = tokens, .prefill = true});
}

// What two prompts have in common at their beginning; at least one token of `next` is left over, so
// that there is something to compute its logits from.
int64_t shared_prefix(std::span<const int32_t> held, std::span<const int32_t> next) {
  const auto common = std::ranges::mismatch(held, next).in2 - next.begin();
  return std::min<int64_t>(common, static_cast<int64_t>(next.size()) - 1);
}

// One sequence of a batch: its sampler and what came out so far.
class Sequence {
 public:
  Sequence(size_t index, int slot, const GenerateOptions& options)
      : index_(index),
        slot_(slot),
        options_(options),
        sampler_(options.sampling,
                 index < options.streams.size() ? options.streams[index] : index) {}

  size_t index() const { return index_; }
  int slot() const { return slot_; }
  const Generation& generation() const { return generation_; }

  bool greedy() const { return options_.sampling.greedy(); }
  int32_t choose(std::span<const float> logits) { return sampler_.pick(logits); }

  // Takes the token that the step's `row` gave; returns false when the sequence is finished.
  bool advance(Backend& backend, int row, int32_t token) {
    if (options_.on_logits) options_.on_logits(backend.logits(row));
    generation_.tokens.push_back(token);
    const auto& stops = options_.stop_tokens;
    generation_.stopped = std::ranges::find(stops, token) != stops.end();
    const bool wanted = !options_.on_token || options_.on_token(token);
    return wanted && !generation_.stopped &&
           static_cast<int>(generation_.tokens.size()) < options_.max_new_tokens;
  }
  bool advance(Backend& backend) {  // alone in its step
    return advance(backend, 0, greedy() ? backend.next_tokens()[0] : choose(backend.logits(0)));
  }

  // What the slot feeds to the next step: its last token, explicitly unless it is the argmax.
  SlotTokens next(const Backend& backend) const {
    std::span<const int32_t> tokens;
    if (!options_.sampling.greedy()) tokens = {&generation_.tokens.back(), 1};
    return {slot_, backend.length(slot_), tokens};
  }

 private:
  size_t index_;
  int slot_;
  const GenerateOptions& options_;
  Sampler sampler_;
  Generation generation_;
};

// What the samplers of a batch share from step to step.
struct SamplingRoom {
  std::optional<ThreadPool> pool;
  std::vector<std::vector<float>> rows;  // [slots][vocab]: a backend may lend one row at a time
};

// The next token of every running sequence.
std::vector<int32_t> next_tokens(Backend& backend, std::vector<Sequence>& running,
                                 SamplingRoom& room) {
  if (running.front().greedy()) {
    const auto tokens = backend.next_tokens();
    return {tokens.begin(), tokens.end()};
  }
  if (!room.pool) room.pool.emplace(std::min(physical_cores(), backend.slots()));
  room.rows.resize(std::max(room.rows.size(), running.size()));
  for (size_t i = 0; i < running.size(); ++i) {
    const auto row = backend.logits(static_cast<int>(i));
    room.rows[i].assign(row.begin(), row.end());
  }
  std::vector<int32_t> tokens(running.size());
  room.pool->for_each(static_cast<int64_t>(running.size()), [&](int, int64_t i) {
    const auto at = static_cast<size_t>(i);
    tokens[at] = running[at].choose(room.rows[at]);
  });
  return tokens;
}

// The decode steps of generate_fixed, a queue of one or two.
class FixedDecode {
 public:
  FixedDecode(Backend& backend, int batch, std::vector<StepTime>& times)
      : backend_(backend), slots_(static_cast<size_t>(batch)), times_(times) {}

  // Starts the next step. ahead: while the last one runs.
  Result<void> launch(bool ahead) {
    for (int slot = 0; slot < static_cast<int>(slots_.size()); ++slot)
      slots_[static_cast<size_t>(slot)] = {slot, backend_.length(slot), {}};
    const int64_t context = backend_.length(0);
    const Nanoseconds start = now();
    KVTOLL_TRY_VOID(run_step(backend_, {.slots = slots_, .ahead = ahead}));
    times_.push_back({context, start, {}, backend_.last_step_flushed()});
    return {};
  }

  // Waits for step `index`, one of the last two. Returns its first token.
  int32_t take(size_t index, Nanoseconds token_before) {
    const int32_t token = backend_.next_tokens()[0];
    StepTime& step = times_[index];
    step.start = std::max(step.start, token_before);
    step.time = now() - step.start;
    return token;
  }

 private:
  Backend& backend_;
  std::vector<SlotTokens> slots_;
  std::vector<StepTime>& times_;
};

}  // namespace

Result<Generation> Session::generate(std::span<const int32_t> prompt,
                                     const GenerateOptions& options) {
  KVTOLL_TRY_VOID(prefill(backend_, 0, prompt));
  Sequence sequence(0, 0, options);
  bool more = sequence.advance(backend_);
  while (more) {
    const SlotTokens tokens[] = {sequence.next(backend_)};
    KVTOLL_TRY_VOID(run_step(backend_, {.slots = tokens}));
    more = sequence.advance(backend_);
  }
  return sequence.generation();
}

Result<BatchTiming> Session::generate_fixed(std::span<const int32_t> prompt, int batch,
                                            int new_tokens, const std::function<bool(int)>& on_step,
                                            std::span<const int64_t> pauses) {
  BatchTiming timing;
  last_tokens_.clear();
  for (int slot = 0; slot < batch; ++slot) backend_.clear_slot(slot);
  const Nanoseconds begin = now();
  for (int slot = 0; slot < batch; ++slot) {
    KVTOLL_TRY_VOID(prefill(backend_, slot, prompt));
    const int32_t first = backend_.next_tokens()[0];  // waits for the step
    if (slot == 0) last_tokens_.push_back(first);
  }
  timing.prefill = now() - begin;
  const auto steps = static_cast<size_t>(std::max(0, new_tokens - 1));
  timing.steps.reserve(steps);
  FixedDecode decode(backend_, batch, timing.steps);
  Nanoseconds known{};  // when the last token was
  for (size_t i = 0; i < steps; ++i) {
    if (timing.steps.size() == i) KVTOLL_TRY_VOID(decode.launch(false));
    const bool pause = std::ranges::binary_search(pauses, static_cast<int64_t>(i + 1));
    if (backend_.runs_ahead() && !pause && i + 1 < steps) KVTOLL_TRY_VOID(decode.launch(true));
    last_tokens_.push_back(decode.take(i, known));
    known = timing.steps[i].start + timing.steps[i].time;
    if (on_step && !on_step(static_cast<int>(i + 1)))
      return tl::unexpected<Error>(interrupted_after(static_cast<int64_t>(i + 1), "decode steps"));
  }
  return timing;
}

Result<void> Session::generate_queue(
    const std::vector<std::vector<int32_t>>& prompts, const GenerateOptions& options,
    const std::function<bool(size_t, const Generation&)>& on_done) {
  std::vector<int> free;
  for (int slot = backend_.slots() - 1; slot >= 0; --slot) free.push_back(slot);
  std::vector<std::span<const int32_t>> held(static_cast<size_t>(backend_.slots()));
  std::vector<Sequence> running;
  SamplingRoom sampling;
  size_t next = 0, finished = 0;
  bool wanted = true;
  const auto finish = [&](const Sequence& sequence) {
    free.push_back(sequence.slot());
    ++finished;
    if (!on_done(sequence.index(), sequence.generation())) wanted = false;
  };
  while (wanted && (next < prompts.size() || !running.empty())) {
    while (wanted && next < prompts.size() && !free.empty()) {
      Sequence sequence(next, free.back(), options);
      free.pop_back();
      const std::vector<int32_t>& prompt = prompts[next++];
      std::span<const int32_t>& before = held[static_cast<size_t>(sequence.slot())];
      const int64_t kept = options.share_prefixes ? shared_prefix(before, prompt) : 0;
      before = prompt;
      KVTOLL_TRY_VOID(prefill(backend_, sequence.slot(), prompt, kept));
      if (sequence.advance(backend_)) {
        running.push_back(std::move(sequence));
      } else {
        finish(sequence);
      }
    }
    if (!wanted || running.empty()) continue;
    std::vector<SlotTokens> step;
    for (const Sequence& sequence : running) step.push_back(sequence.next(backend_));
    KVTOLL_TRY_VOID(run_step(backend_, {.slots = step}));
    const std::vector<int32_t> tokens = next_tokens(backend_, running, sampling);
    std::vector<Sequence> still;
    for (size_t i = 0; i < running.size(); ++i) {
      if (running[i].advance(backend_, static_cast<int>(i), tokens[i])) {
        still.push_back(std::move(running[i]));
      } else {
        finish(running[i]);
      }
    }
    running = std::move(still);
  }
  if (!wanted && finished < prompts.size())
    return tl::unexpected<Error>(
        interrupted_after(static_cast<int64_t>(finished), "finished prompts"));
  return {};
}

}  // namespace kvtoll
