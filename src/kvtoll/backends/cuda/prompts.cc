// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Prompts: layer by layer, and within a layer in chunks, so that only the residual stream is as
// long as the prompt. Keys and values go into the cache, or where the prompt's own attention reads
// them exactly, before each chunk attends to everything up to itself.
#include <algorithm>
#include <cstring>

#include "kvtoll/backends/cuda/attention_prefill.h"
#include "kvtoll/backends/cuda/cuda_backend.h"
#include "kvtoll/backends/cuda/elementwise.h"
#include "kvtoll/core/check.h"

namespace kvtoll::cuda {

Result<void> CudaBackend::run_prompts(const StepInput& input) {
  int64_t context = 0, total = 0;
  for (const SlotTokens& s : input.slots) {
    context = std::max(context, s.position);
    total += static_cast<int64_t>(s.tokens.size());
  }
  KVTOLL_CHECK(!input.all_logits || input.slots.size() == 1, "all logits of {} sequences at once",
               input.slots.size());
  scope_.emplace(trace::Step{trace::StepKind::kPrefill, context, total});
  for (int i = 0; i < row_count_; ++i) {
    const SlotTokens& s = input.slots[static_cast<size_t>(i)];
    const Prompt prompt{i, s.slot, s.position, static_cast<int64_t>(s.tokens.size())};
    KVTOLL_CHECK(prompt.tokens > 0, "a prompt of no tokens in slot {}", s.slot);
    if (prompt.tokens > std::max<int64_t>(request_.max_prompt, act_.chunk))
      return usage_error("the prompt has {} tokens and {} were reserved", prompt.tokens,
                         request_.max_prompt);
    stream_.synchronize();  // upload_ may still be in use
    std::memcpy(upload_.get<int>(), s.tokens.data(), s.tokens.size() * 4);
    KVTOLL_CUDA(cudaMemcpyAsync(act_.tokens, upload_.get<int>(), s.tokens.size() * 4,
                                cudaMemcpyHostToDevice, stream_.get()));
    prompt_layers(prompt);
    lengths_[static_cast<size_t>(s.slot)] += prompt.tokens;
    if (all_logits_) prompt_rows_ = prompt.tokens;
  }
  if (all_logits_) {  // rows of act_.logits are computed when they are asked for
    logit_first_ = 0;
    logit_count_ = 0;
  }
  scope_.reset();
  return {};
}

void CudaBackend::prompt_layers(const Prompt& prompt) {
  const ModelConfig& c = config();
  const RowMap rows{act_.row_slot + prompt.row, act_.slot_length, 0, true};
  const auto n = static_cast<int>(prompt.tokens);
  EmbedParams p;
  p.table = weights_.embedding;
  p.tokens = act_.tokens;
  p.rows = rows;
  p.x = act_.x;
  p.row_count = n;
  p.hidden = c.hidden;
  log_.run({"embed_kernel", {embed_bytes(n, c.hidden)}},
           [&] { launch_embed(p, options_.weights, launch_context()); });
  for (int layer = 0; layer < c.layers; ++layer) {
    const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
    for (int offset = 0; offset < n; offset += act_.chunk) {
      const int count = std::min(act_.chunk, n - offset);
      float* x = act_.x + int64_t(offset) * c.hidden;
      normalize(layer, x, w.attn_norm, count);
      product("gemm_qkv", layer, w.qkv, c.q_width() + 2 * c.kv_width(), c.hidden, act_.normed,
              act_.qkv, count, false);
      prompt_attention(prompt, layer, offset, count);
      product("gemm_output", layer, w.o, c.hidden, c.q_width(), act_.attended, x, count, true);
      bias_add(layer, w.o_bias, x, count, c.hidden);
      normalize(layer, x, w.ffn_norm, count);
      product("gemm_gate_up", layer, w.gate_up, 2 * c.ffn, c.hidden, act_.normed, act_.gate_up,
              count, false);
      log_.run({"silu_mul_kernel", {silu_mul_bytes(count, c.ffn)}, layer}, [&] {
        launch_silu_mul(act_.gate_up, w.gate_up_bias, count, c.ffn, act_.hidden, options_.weights,
                        launch_context());
      });
      product("gemm_down", layer, w.down, c.hidden, c.ffn, act_.hidden, x, count, true);
      bias_add(layer, w.down_bias, x, count, c.hidden);
    }
  }
  lm_head_rows(act_.x + int64_t(n - 1) * c.hidden, 1, all_logits_ ? 0 : prompt.row);
  ArgmaxParams a;
  a.logits = act_.logits + int64_t(all_logits_ ? 0 : prompt.row) * c.vocab;
  a.vocab = c.vocab;
  a.row_count = 1;
  a.slot = act_.row_slot + prompt.row;
  a.best = act_.best;
  a.done = act_.done;
  a.slot_token = act_.slot_token;
  a.next = next_.get<int>() + prompt.row;
  a.length = act_.slot_length;
  a.advance = n;
  log_.run({"argmax_kernel", {argmax_bytes(1, c.vocab)}},
           [&] { launch_argmax(a, launch_context()); });
}

void CudaBackend::prompt_attention(const Prompt& prompt, int layer, int offset, int rows) {
  const ModelConfig& c = config();
  RopeParams places;
  places.rows = {act_.row_slot + prompt.row, act_.slot_length, offset, true};
  places.cache = cache_view(layer);
  rope(layer, places, weights_.layers[static_cast<size_t>(layer)].qkv_bias, rows);
  const int64_t slot = int64_t(prompt.slot) * c.kv_heads * places.cache.capacity * c.head_dim * 2;
  PrefillParams p;
  p.q = act_.q;
  p.k = static_cast<const char*>(places.cache.k) + slot;
  p.v = static_cast<const char*>(places.cache.v) + slot;
  p.out = act_.attended;
  p.out_dtype = options_.weights;
  p.capacity = places.cache.capacity;
  p.heads = c.heads;
  p.kv_heads = c.kv_heads;
  p.dim = c.head_dim;
  p.rows = rows;
  p.first = static_cast<int>(prompt.position) + offset;
  log_.run({"attention_prefill_kernel", {attention_prefill_bytes(p)}, layer},
           [&] { launch_attention_prefill(p, options_.cache, launch_context()); });
}

}  // namespace kvtoll::cuda
