// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The CUDA backend: weights in fp16 or bf16, residual stream in fp32, products summed in fp32.
// A decode step is about seven launches a layer, one at a time or replayed as one captured graph;
// prompts run through tensor-core products in chunks. Made by make_backend("cuda").
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/backends/cuda/activations.h"
#include "kvtoll/backends/cuda/attention_decode.h"
#include "kvtoll/backends/cuda/attention_prefill.h"
#include "kvtoll/backends/cuda/cublas.h"
#include "kvtoll/backends/cuda/kv_memory.h"
#include "kvtoll/backends/cuda/op_log.h"
#include "kvtoll/backends/cuda/rope.h"
#include "kvtoll/backends/cuda/weights.h"
#include "kvtoll/device/device_info.h"

namespace kvtoll::cuda {

class CudaBackend : public Backend {
 public:
  CudaBackend(std::shared_ptr<const Checkpoint> checkpoint, const BackendOptions& options,
              DeviceInfo device);
  Result<void> load();

  BackendInfo info() const override;
  const ModelConfig& config() const override { return checkpoint_->config(); }
  Result<void> reserve(const CacheRequest& request) override;
  int slots() const override { return request_.slots; }
  void clear_slot(int slot) override;
  void rewind(int slot, int64_t length) override;
  int64_t length(int slot) const override { return lengths_[static_cast<size_t>(slot)]; }

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

  std::span<const int32_t> next_tokens() override;
  std::span<const float> logits(int row) override;
  bool runs_ahead() const override { return options_.launch == Launch::kGraph; }
  bool last_step_flushed() const override { return flushed_; }
  MemorySplit memory() const override { return memory_.used(); }
  MemorySplit peak_memory() const override { return memory_.peak(); }

 protected:
  cudaStream_t stream() const { return stream_.get(); }

 private:
  struct CapturedStep {
    GraphExec graph;
    std::vector<OpNote> notes;
  };
  // One prompt (or a further piece of one) on its way through the network.
  struct Prompt {
    int row = 0;  // of the step: index of its result
    int slot = 0;
    int64_t position = 0, tokens = 0;
  };

  Result<void> try_reserve(const CacheRequest& request);
  KvHolding holding() const;
  Result<void> check_formats(const CacheRequest& request) const;

  // steps.cc
  Result<void> check_input(const StepInput& input) const;
  Result<bool> begin_decode(const StepInput& input);
  void expect_tokens(const StepInput& input);
  void upload_rows(const StepInput& input);
  void run_ops();
  using StepKey = std::vector<int64_t>;
  StepKey step_key();
  Result<void> replay_or_capture();
  Result<void> finish_decode();

  // prompts.cc
  Result<void> run_prompts(const StepInput& input);
  Result<void> prompt_layers(const Prompt& prompt);
  RopeParams prompt_places(int layer) const;
  void prompt_qkv(const Prompt& prompt, int layer, int offset, int rows, RopeParams places);
  void prompt_attention(const Prompt& prompt, int layer, int offset, int rows);
  Result<void> prompt_layer(const Prompt& prompt, int layer);
  void prompt_rest(int layer, int offset, int rows);
  Result<void> prompt_store(const Prompt& prompt, int layer, bool back);

  // stores.cc
  KvRun kv_run(int layer);
  Result<KvDeviceLayout> layout_of(const TensorMemory& tensor, int64_t tokens) const;
  bool appends(const TensorMemory& tensor) const;  // whether a flush writes only its own tokens
  // x: [rows.values] of [kv_head, max_tokens, dim], x_stride elements apart; the last `tokens` of a
  // store.
  void quantize_store(int layer, const TensorMemory& tensor, const KvDeviceLayout& layout,
                      const KvRows& rows, const void* x, int64_t x_stride, int64_t tokens);
  // Into kv_.dequantized(), by rows.values.
  void dequantize_store(int layer, const TensorMemory& tensor, const KvDeviceLayout& layout,
                        const KvRows& rows);
  // Positions [from, tokens) of x become the last ones of stores that then have `tokens`; all of
  // them where stores are rewritten as a whole.
  Result<void> store_tensor(int layer, const TensorMemory& tensor, const KvRows& rows,
                            const void* x, int64_t tokens, int64_t from);
  // The same, and x then holds what the stores give back. tensor: one of those of one format.
  Result<void> quantize_in_place(int layer, const TensorMemory& tensor, const KvRows& rows, void* x,
                                 int64_t x_stride, int64_t tokens, int64_t from);
  struct TensorGroup {
    const TensorMemory* tensor = nullptr;  // the first
    KvRows rows;                           // values: which of kv_.tensors()
  };
  std::vector<TensorGroup> flushing_tensors(int slot);
  Result<void> flush_decoded();

  // products.cc: of n rows; x [n, hidden] fp32 is the residual stream.
  void product(std::string_view kernel, int layer, const Product& p, const float* bias);
  void normalize(int layer, const float* x, const float* weight, int n);
  void norm_qkv_rows(int layer, const float* x, int n);      // -> act_.qkv
  void output_add_rows(int layer, float* x, int n);          // act_.attended ->
  void norm_gate_up_rows(int layer, const float* x, int n);  // -> act_.hidden
  void down_add_rows(int layer, float* x, int n);            // act_.hidden ->
  void lm_head_rows(const float* x, int rows, int first_logit_row);

  // materialize.cc
  // Rows of the step whose stores are equally long. flushing: those that flush in this step, and to
  // the same length.
  struct RowGroup {
    int64_t stored = 0, tokens = 0;
    KvRows rows;
  };
  std::vector<RowGroup> row_groups(const TensorMemory& tensor, bool flushing);
  Result<void> join_tensor(int layer, const TensorMemory& tensor, void* read);
  Result<void> attend_materialized(int layer);

  // ops.cc
  void attend_to(int layer, const CacheView& view, bool by_row);
  LaunchContext launch_context() const;
  RowMap decode_rows() const { return {act_.row_slot, act_.slot_length}; }
  void rope(int layer, const RopeParams& places, const float* bias, int n);
  // The products of a layer in order, and the one that follows one of them, for gemv.h.
  enum class Stage { kQkv, kOutput, kGateUp, kDown };
  NextWeights next_weights(int layer, Stage stage) const;
  // Attention reads keys and values where they lie.
  bool in_place() const { return holding() != KvHolding::kMaterialize; }
  // RoPE and the append happen in the epilogue of the q, k, v product.
  bool rope_in_product() const { return row_count_ == 1 && !config().qk_norm && in_place(); }

  std::shared_ptr<const Checkpoint> checkpoint_;
  BackendOptions options_;
  DeviceInfo device_;
  int max_shared_ = 0;  // bytes of shared memory a block may have
  AttentionRoom attention_room_;
  PrefillKernel prefill_;
  DeviceMemory memory_;
  Stream stream_;
  Weights weights_;
  DeviceBuffer blas_memory_;
  std::unique_ptr<Cublas> blas_;

  CacheRequest request_;
  KvMemory kv_;
  DeviceBuffer workspace_;
  Activations act_;
  PinnedBuffer next_;  // [2, slots] int32, written by argmax_kernel
  // Where in next_ the tokens of each step lie that is queued, oldest first: at most two, and the
  // last one until another step begins.
  std::deque<std::vector<int32_t>> token_places_;
  std::vector<int32_t> tokens_;   // of the step last asked for
  PinnedBuffer upload_;           // [max(slots, prompt)] int32
  PinnedBuffer logits_;           // [vocab]
  std::vector<int64_t> lengths_;  // [slots]
  std::map<StepKey, CapturedStep> graphs_;
  std::set<int> warm_;  // rows whose kernels have run once, one at a time

  // The current step.
  std::vector<int> rows_;  // slot of each row, as on the device
  std::vector<int> result_rows_;
  int row_count_ = 0;
  AttentionGrid grid_;  // of decode attention
  bool seen_ = true;    // the last step's tokens have been waited for
  bool flushed_ = false, all_logits_ = false, capturing_ = false;
  int64_t prompt_rows_ = 0;                // all_logits: rows of act_.x that hold the prompt
  int logit_first_ = 0, logit_count_ = 0;  // rows in act_.logits
  std::optional<Error> failure_;           // the first refusal of a store, told by end_step
  OpLog log_;
  std::optional<trace::StepScope> scope_;
};

}  // namespace kvtoll::cuda
