// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One interface for every way of running the network: CPU and CUDA. A backend owns weights,
// activations and the KV cache of a fixed number of slots (sequences), and offers the operations of
// one step; engine/step.cc calls them in the paper's order. Each operation may be one kernel or
// several; each marks its kernels and bytes through core/trace.h. Example: engine/step.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/cache/schedule.h"
#include "kvtoll/core/memory_tag.h"
#include "kvtoll/core/result.h"
#include "kvtoll/core/trace.h"
#include "kvtoll/formats/kv_format.h"
#include "kvtoll/model/checkpoint.h"

namespace kvtoll {

enum class Attention : uint8_t {
  kMaterialize,
  kFused
};  // materialize: Hugging Face's work, kernel by kernel
enum class Launch : uint8_t { kEager, kGraph };
// The words of command lines, studies and records; other words are materialize and eager.
constexpr std::string_view attention_name(Attention attention) {
  return attention == Attention::kFused ? "fused" : "materialize";
}
constexpr Attention attention_of(std::string_view word) {
  return word == "fused" ? Attention::kFused : Attention::kMaterialize;
}
constexpr std::string_view launch_name(Launch launch) {
  return launch == Launch::kGraph ? "graph" : "eager";
}
constexpr Launch launch_of(std::string_view word) {
  return word == "graph" ? Launch::kGraph : Launch::kEager;
}
// Exact: the prompt's own attention reads exact keys and values (Hugging Face). Quantized: the
// prompt's keys and values are stored first, and its attention reads back what was stored.
enum class Prefill : uint8_t { kExact, kQuantized };
constexpr std::string_view prefill_name(Prefill prefill) {
  return prefill == Prefill::kQuantized ? "quantized" : "exact";
}
constexpr Prefill prefill_of(std::string_view word) {
  return word == "quantized" ? Prefill::kQuantized : Prefill::kExact;
}

struct BackendOptions {
  DType weights =
      DType::kF16;  // compute and storage dtype of the weights; kF32 on the CPU for comparisons
  DType cache = DType::kF16;  // dtype of exact keys and values and of scales
  Attention attention = Attention::kMaterialize;
  Launch launch = Launch::kEager;
  Prefill prefill = Prefill::kExact;
  FlushRule flush = FlushRule::kAppend;
  // Hold each dequantized store until its next flush: the same values for less work. For accuracy
  // runs, not for measurements. CUDA: no store is kept at all and attention reads in place, as with
  // an exact cache, whatever `attention` says.
  bool keep_decoded = false;
  int threads = 0;  // CPU; 0: physical cores
  int device = 0;   // CUDA ordinal
  bool operator==(const BackendOptions&) const = default;
};

struct CacheRequest {
  std::vector<KvPair> layers;  // one entry per layer, from KvPolicy::resolve
  int residual_length = 128;   // where the format does not say
  int slots = 1;               // batch: sequences alive at once
  int64_t max_tokens = 0;      // per slot, prompt included
  int64_t max_prompt = 0;      // longest prefill, per slot
};

// The tokens one slot contributes to a step: many at prefill (position 0 of an empty slot), one
// when decoding.
struct SlotTokens {
  int slot = 0;
  int64_t position = 0;  // of tokens[0]; equals the slot's cached length
  std::span<const int32_t>
      tokens;  // empty in decode: feed the slot's own last argmax (it never left the device)
};

struct StepInput {
  std::span<const SlotTokens> slots;
  bool prefill = false;
  bool all_logits = false;  // logits of every token (perplexity), not only of the last of each slot
  // Queue this decode step while the one before runs: next_tokens() then gives first that one's
  // tokens, which must not have been asked for, then this one's. Where runs_ahead() only, with no
  // tokens given by the caller.
  bool ahead = false;
};

struct BackendInfo {
  std::string name;        // "cpu" or "cuda"
  std::string device;      // "AMD EPYC ... (2 threads, AVX-512)" or "NVIDIA H100 80GB HBM3"
  double peak_gb_s = 0.0;  // datasheet memory bandwidth, 0 if unknown
  std::vector<std::string> attention_kernels;  // the kernels that serve the cache that was reserved
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual BackendInfo info() const = 0;
  virtual const ModelConfig& config() const = 0;

  // Allocates cache, activations and workspace. Errors: kOutOfMemory with the predicted footprint
  // and what was free; kUnsupported where no kernel serves a format (names the ones that exist).
  virtual Result<void> reserve(const CacheRequest& request) = 0;
  virtual int slots() const = 0;          // of the last reserve()
  virtual void clear_slot(int slot) = 0;  // forget a sequence; memory stays
  // Forget the tokens of a slot from `length` on. Exact caches only: a quantized store cannot give
  // back what it was made from.
  virtual void rewind(int slot, int64_t length) = 0;
  virtual int64_t length(int slot) const = 0;  // cached tokens

  // --- one step, in this order, bracketed by a trace::StepScope that the backend opens in
  // begin_step() and closes in end_step(). begin_step() returns false when a captured graph
  // replayed the whole step: the operations and end_step() must then not be called. Errors:
  // kUnsupported from a flush whose shape the real library refuses; kMachine from a launch that
  // failed. After an error the slots of the step must be cleared before they are used again; the
  // other slots go on.
  virtual Result<bool> begin_step(const StepInput& input) = 0;
  virtual void embed() = 0;                  // x = E[token]
  virtual void norm_qkv(int layer) = 0;      // q, k, v = W_qkv RMSNorm(x) (+ bias)
  virtual void rope_append(int layer) = 0;   // (q/k norm,) RoPE; k, v join the cache
  virtual void attend(int layer) = 0;        // softmax(q K^T / sqrt(d)) V over what the cache shows
  virtual void output_add(int layer) = 0;    // x += W_o a
  virtual void norm_gate_up(int layer) = 0;  // h = silu(W_g RMSNorm(x)) * (W_u RMSNorm(x))
  virtual void down_add(int layer) = 0;      // x += W_d h
  virtual void norm_lm_head() = 0;           // logits = W_lm RMSNorm(x)
  virtual void argmax() = 0;                 // next token of each slot, kept on the device too
  virtual Result<void> end_step() = 0;
  // Whether a decode step may be queued before the tokens of the one before are known
  // (StepInput::ahead).
  virtual bool runs_ahead() const { return false; }

  // --- results of the last step; these wait for it. Row order: input.slots' order (all_logits:
  // tokens in order).
  virtual std::span<const int32_t> next_tokens() = 0;  // [slots in the step]
  // [vocab]; valid until the next call of logits() or step.
  virtual std::span<const float> logits(int row) = 0;

  virtual bool last_step_flushed() const = 0;
  virtual MemorySplit memory() const = 0;       // allocated now, by tag
  virtual MemorySplit peak_memory() const = 0;  // when it was largest since the last reserve()
};

// "auto" becomes "cuda" where this build has it and a device answers, else "cpu"; other names stay.
std::string resolve_backend(const std::string& name);

// name: as resolve_backend takes it. Loads or makes the
// weights. Errors: kMachine when the backend is not there, with the reason and the cure.
Result<std::unique_ptr<Backend>> make_backend(const std::string& name,
                                              std::shared_ptr<const Checkpoint> checkpoint,
                                              const BackendOptions& options);

}  // namespace kvtoll
