// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The brackets of a step: what arrives from the engine, and how a decode step is launched.
#include <algorithm>

#include "kvtoll/backends/cuda/cuda_backend.h"
#include "kvtoll/core/check.h"

namespace kvtoll::cuda {

Result<void> CudaBackend::check_input(const StepInput& input) const {
  for (const SlotTokens& s : input.slots) {
    KVTOLL_CHECK(s.slot >= 0 && s.slot < request_.slots, "slot {} of {}", s.slot, request_.slots);
    KVTOLL_CHECK(s.position == length(s.slot), "position {} of slot {} that holds {} tokens",
                 s.position, s.slot, length(s.slot));
    const auto n = std::max<int64_t>(1, static_cast<int64_t>(s.tokens.size()));
    if (s.position + n > request_.max_tokens)
      return usage_error("slot {} has room for {} tokens and would hold {}", s.slot,
                         request_.max_tokens, s.position + n);
    for (int32_t token : s.tokens)
      if (token < 0 || token >= config().vocab)
        return usage_error("token id {} is outside the model's vocabulary of {}", token,
                           config().vocab);
  }
  return {};
}

Result<bool> CudaBackend::begin_step(const StepInput& input) {
  KVTOLL_CHECK(static_cast<bool>(workspace_), "a step before reserve()");
  KVTOLL_CHECK(input.slots.size() <= static_cast<size_t>(request_.slots), "{} rows for {} slots",
               input.slots.size(), request_.slots);
  KVTOLL_TRY_VOID(check_input(input));
  row_count_ = static_cast<int>(input.slots.size());
  flushed_ = false;
  all_logits_ = input.all_logits;
  prompt_rows_ = 0;
  logit_first_ = 0;
  logit_count_ = row_count_;
  const bool prompts = input.prefill || std::ranges::any_of(input.slots, [](const SlotTokens& s) {
                         return s.tokens.size() > 1;
                       });
  try {
    expect_tokens(input);
    upload_rows(input);
    if (!prompts) return begin_decode(input);
    KVTOLL_TRY_VOID(run_prompts(input));
    if (const auto failed = log_.take_failure()) return machine_error("{}", *failed);
    return false;
  } catch (const CudaError& error) {
    scope_.reset();
    return machine_error("{}", error.what());
  }
}

// Marks the places where argmax_kernel will put the step's tokens.
void CudaBackend::expect_tokens(const StepInput& input) {
  KVTOLL_CHECK(!input.ahead || (runs_ahead() && !seen_ && token_places_.size() == 1),
               "a step ahead of {} others, tokens seen: {}", token_places_.size(), seen_);
  if (!input.ahead) {
    if (!seen_) stream_.synchronize();  // the last step may still write its tokens
    token_places_.clear();
  }
  seen_ = false;
  std::vector<int32_t>& places = token_places_.emplace_back();
  for (int row = 0; row < row_count_; ++row) {
    const SlotTokens& s = input.slots[static_cast<size_t>(row)];
    const auto length = s.position + std::max<int64_t>(1, static_cast<int64_t>(s.tokens.size()));
    places.push_back(static_cast<int32_t>(length % 2) * request_.slots + row);
    next_.get<int32_t>()[places.back()] = -1;
  }
}

// Tells the device which slot each row is and, where the caller gives tokens, what it feeds.
void CudaBackend::upload_rows(const StepInput& input) {
  bool same = true;
  for (int i = 0; i < row_count_; ++i) {
    const int slot = input.slots[static_cast<size_t>(i)].slot;
    same = same && rows_[static_cast<size_t>(i)] == slot;
    rows_[static_cast<size_t>(i)] = slot;
  }
  if (same) return;
  // From pageable memory the call copies before it returns, so rows_ may change afterwards.
  KVTOLL_CUDA(cudaMemcpyAsync(act_.row_slot, rows_.data(), rows_.size() * 4, cudaMemcpyHostToDevice,
                              stream_.get()));
}

Result<bool> CudaBackend::begin_decode(const StepInput& input) {
  int64_t context = 0, visible = 0;
  failure_.reset();
  bool flushes = false;
  for (const SlotTokens& s : input.slots) {
    visible += s.position + 1;
    context = std::max(context, s.position);
    flushes = flushes || kv_.next_flushes(s.slot);
    if (!s.tokens.empty())
      KVTOLL_CUDA(cudaMemcpyAsync(act_.slot_token + s.slot, s.tokens.data(), 4,
                                  cudaMemcpyHostToDevice, stream_.get()));
  }
  log_.set_visible(visible);
  const int64_t tokens = attention_tokens(row_count_, context + 1, request_.max_tokens);
  grid_ = attention_grid({row_count_, config().kv_heads, config().gqa(), tokens}, attention_room_);
  scope_.emplace(trace::Step{flushes ? trace::StepKind::kFlush : trace::StepKind::kAppend, context,
                             row_count_});
  // What a flush of stores launches depends on the host (HQQ's solver asks after each iteration).
  if (options_.launch == Launch::kEager || (flushes && !in_place())) return true;
  if (const auto launched = replay_or_capture(); !launched) {
    scope_.reset();
    return tl::unexpected<Error>(launched.error());
  }
  KVTOLL_TRY_VOID(finish_decode());
  return false;
}

void CudaBackend::run_ops() {
  embed();
  for (int layer = 0; layer < config().layers; ++layer) {
    norm_qkv(layer);
    rope_append(layer);
    attend(layer);
    output_add(layer);
    norm_gate_up(layer);
    down_add(layer);
  }
  norm_lm_head();
  argmax();
}

// What a captured step was made for: the number of rows and how attention is laid out; with stores
// also which slots the rows are and how much is stored, which the dequantizing launches take from
// the host.
CudaBackend::StepKey CudaBackend::step_key() {
  StepKey key{row_count_, grid_.splits, grid_.cluster};
  if (in_place() || !kv_.any_quantized()) return key;
  for (int row = 0; row < row_count_; ++row) {
    const int slot = rows_[static_cast<size_t>(row)];
    key.push_back(slot);
    kv_.append_stored(slot, key);
  }
  return key;
}

// The first step of a number of rows runs one launch at a time, so that modules load and cuBLAS
// chooses before anything is captured; the next is captured; later ones of its kind replay. With
// stores a kind lasts from flush to flush; it comes again when the same prompt is run again.
// After another reserve() a step is captured at once.
Result<void> CudaBackend::replay_or_capture() {
  if (!warm_.contains(row_count_)) {
    run_ops();
    if (const auto failed = log_.take_failure()) return machine_error("{}", *failed);
    warm_.insert(row_count_);
    return {};
  }
  constexpr size_t kMostGraphs = 64;  // each takes some hundred KB of the device
  const StepKey key = step_key();
  if (graphs_.size() >= kMostGraphs && !graphs_.contains(key)) {
    stream_.synchronize();  // one of them may still run
    graphs_.clear();
  }
  CapturedStep& step = graphs_[key];
  if (!step.graph) {
    capturing_ = true;
    log_.start_noting(&step.notes);
    const auto stop = [&] {
      capturing_ = false;
      log_.stop_noting();
    };
    try {
      step.graph = capture(stream_.get(), [&] { run_ops(); });
    } catch (...) {
      stop();
      step.notes.clear();
      throw;
    }
    stop();
    if (failure_) {
      graphs_.erase(key);
      return tl::unexpected<Error>(*failure_);
    }
  }
  log_.replay(step.notes);
  step.graph.launch(stream_.get());
  return {};
}

Result<void> CudaBackend::finish_decode() {
  if (kv_.decoded() && !failure_) {
    try {
      if (const auto flushed = flush_decoded(); !flushed) failure_ = flushed.error();
    } catch (const CudaError& error) {
      scope_.reset();
      return machine_error("{}", error.what());
    }
  }
  for (int i = 0; i < row_count_; ++i) {
    const int slot = rows_[static_cast<size_t>(i)];
    ++lengths_[static_cast<size_t>(slot)];
    flushed_ = kv_.advance(slot, 0, stream_.get()) || flushed_;
  }
  scope_.reset();
  if (const auto failed = log_.take_failure()) return machine_error("{}", *failed);
  if (failure_) return tl::unexpected<Error>(*failure_);
  return {};
}

Result<void> CudaBackend::end_step() { return finish_decode(); }

}  // namespace kvtoll::cuda
