// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The CPU backend: weights in fp16, bf16 or fp32, activations in fp32, keys and values rounded to
// the cache dtype. Exact caches are read in place; quantized ones are dequantized layer by layer
// into fp32 scratch, then attended to (the work of `materialize`). Made by make_backend("cpu").
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/backends/cpu/attention_jobs.h"
#include "kvtoll/backends/cpu/buffer.h"
#include "kvtoll/backends/cpu/kernels.h"
#include "kvtoll/backends/cpu/weights.h"
#include "kvtoll/cache/kv_cache.h"
#include "kvtoll/core/thread_pool.h"

namespace kvtoll::cpu {

class CpuBackend final : public Backend {
 public:
  static Result<std::unique_ptr<Backend>> make(std::shared_ptr<const Checkpoint> checkpoint,
                                               const BackendOptions& options);

  BackendInfo info() const override;
  const ModelConfig& config() const override { return checkpoint_->config(); }
  Result<void> reserve(const CacheRequest& request) override;
  int slots() const override { return request_.slots; }
  void clear_slot(int slot) override { cache_->clear(slot); }
  void rewind(int slot, int64_t length) override { cache_->rewind(slot, length); }
  int64_t length(int slot) const override { return cache_->length(slot); }

  Result<bool> begin_step(const StepInput& input) override;
  void embed() override;
  void norm_qkv(int layer) override;
  void rope_append(int layer) override;
  void attend(int layer) override;
  void output_add(int layer) override;
  void norm_gate_up(int layer) override;
  void down_add(int layer) override;
  void norm_lm_head() override;
  void argmax() override;
  Result<void> end_step() override;

  std::span<const int32_t> next_tokens() override { return next_; }
  std::span<const float> logits(int row) override;
  bool last_step_flushed() const override { return flushed_; }
  MemorySplit memory() const override;
  MemorySplit peak_memory() const override { return peak_; }

 private:
  // What one slot does in the current step.
  struct SlotWork {
    int slot = 0;
    int64_t position = 0;  // of its first token
    int64_t n = 0;         // its tokens
    int64_t row = 0;       // of its first token in the activations
  };
  CpuBackend(std::shared_ptr<const Checkpoint> checkpoint, const BackendOptions& options)
      : checkpoint_(std::move(checkpoint)), options_(options), pool_(options.threads) {}

  Result<void> plan(const StepInput& input);
  void size_activations(int64_t tokens, int64_t logit_rows);
  void fill_rope(const SlotWork& work);
  void matmul(const char* kernel, int layer, const Matrix& w, const std::vector<float>& bias,
              const float* x, int64_t tokens, float* y, bool add);
  void norm(int layer, const std::vector<float>& weight, const float* x, int64_t rows, float* y);
  // A slot's new keys or values, [kv_head, n, dim].
  std::span<const float> fresh(const Buffer& values, const SlotWork& work) const {
    const int64_t width = config().kv_width();
    return {values.as<float>() + work.row * width, static_cast<size_t>(work.n * width)};
  }
  void qk_norm(int layer);
  void rope_token(int layer, const SlotWork& work, int64_t t);

  // cpu_attend.cc
  struct Intake {
    TensorCache* tensor;
    const Buffer* values;  // its new tokens, see fresh()
  };
  // A dequantized store, [kv_head, its tokens, dim] fp32.
  struct Decoded {
    Buffer values;
    int64_t version = -1;  // TensorCache::store_version() of what it holds
  };
  Decoded& decoded(int layer, const SlotWork& work, bool value) {
    const auto place = options_.keep_decoded ? work.slot * config().layers + layer : 0;
    return decoded_[static_cast<size_t>(place * 2 + (value ? 1 : 0))];
  }
  void take_in(int layer, const SlotWork& work, std::span<const Intake> intakes);
  std::vector<Intake> waiting_intakes(int layer, const SlotWork& work);
  Bytes quantized_bytes(const TensorCache& tensor, int64_t n) const;
  void dequantize(int layer, const SlotWork& work);
  std::vector<KvSegment> segments(const SlotWork& work, const TensorCache& tensor,
                                  const Buffer& fresh_values, const Buffer& read) const;
  AttentionJob attention_job(int layer, const SlotWork& work);
  void attend_to(int layer, const std::vector<AttentionJob>& jobs);

  std::shared_ptr<const Checkpoint> checkpoint_;
  BackendOptions options_;
  ThreadPool pool_;
  Weights weights_;
  RopeTable rope_;
  CacheRequest request_;
  std::unique_ptr<KvCache> cache_;

  // The current step.
  std::vector<SlotWork> work_;
  std::vector<int32_t> tokens_;  // [tokens]
  bool all_logits_ = false, flushed_ = false;
  std::optional<Error> failure_;  // the first refusal of a store, reported by end_step
  std::optional<trace::StepScope> scope_;
  int64_t logit_rows_ = 0;
  std::vector<int32_t> next_;       // [slots in the step]
  std::vector<int32_t> last_next_;  // [slots]: what an empty SlotTokens::tokens feeds

  // Activations of the step, fp32. n: tokens in the step.
  Buffer x_, normed_;             // [n, hidden]
  Buffer qkv_;                    // [n, q_width + 2 kv_width]
  Buffer q_, attended_;           // [n, q_width]
  Buffer k_new_, v_new_;          // per slot [kv_head, its tokens, dim], slots one after the other
  Buffer gate_up_;                // [n, 2 ffn]
  Buffer hidden_;                 // [n, ffn]
  Buffer cos_, sin_;              // [n, head_dim / 2]
  Buffer logits_;                 // [logit rows, vocab]
  std::vector<Decoded> decoded_;  // K and V; of every slot and layer with keep_decoded
  AttentionSpace attention_space_;
  MemorySplit peak_;
};

}  // namespace kvtoll::cpu
