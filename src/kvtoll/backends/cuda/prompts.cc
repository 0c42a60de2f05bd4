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
    if (kv_.any_quantized() && prompt.position > 0)
      return make_error(ErrorKind::kUnsupported,
                        "a further piece of a prompt cannot join a quantized cache on cuda; give "
                        "the prompt at once");
    KVTOLL_TRY_VOID(prompt_layers(prompt));
    lengths_[static_cast<size_t>(s.slot)] += prompt.tokens;
    if (kv_.any_quantized()) kv_.advance(s.slot, prompt.tokens, stream_.get());
    if (all_logits_) prompt_rows_ = prompt.tokens;
  }
  if (all_logits_) {  // rows of act_.logits are computed when they are asked for
    logit_first_ = 0;
    logit_count_ = 0;
  }
  scope_.reset();
  return {};
}

// Where a prompt's own attention finds keys and values: in the cache, or (beside stores) in the
// read buffers.
RopeParams CudaBackend::prompt_places(int layer) const {
  RopeParams places;
  places.cache = kv_.whole(layer) ? kv_.rows(layer) : kv_.read();
  places.place = kv_.whole(layer) ? RopeParams::Place::kSlot : RopeParams::Place::kSingle;
  return places;
}

// Queries, keys and values of a chunk; the latter two go to `places`.
void CudaBackend::prompt_qkv(const Prompt& prompt, int layer, int offset, int rows,
                             RopeParams places) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  norm_qkv_rows(layer, act_.x + int64_t(offset) * c.hidden, rows);
  places.rows = {act_.row_slot + prompt.row, act_.slot_length, offset, true};
  rope(layer, places, w.qkv_bias, rows);
}

void CudaBackend::prompt_attention(const Prompt& prompt, int layer, int offset, int rows) {
  const ModelConfig& c = config();
  const CacheView view = prompt_places(layer).cache;
  const int64_t slot =
      kv_.whole(layer) ? int64_t(prompt.slot) * c.kv_heads * view.capacity * c.head_dim * 2 : 0;
  PrefillParams p;
  p.q = act_.q;
  p.k = static_cast<const char*>(view.k) + slot;
  p.v = static_cast<const char*>(view.v) + slot;
  p.out = act_.attended;
  p.out_dtype = options_.weights;
  p.capacity = view.capacity;
  p.heads = c.heads;
  p.kv_heads = c.kv_heads;
  p.dim = c.head_dim;
  p.rows = rows;
  p.first = static_cast<int>(prompt.position) + offset;
  log_.run({prefill_.name, {attention_prefill_bytes(p, prefill_.queries)}, layer},
           [&] { prefill_.launch(p, options_.cache, launch_context()); });
}

// The layer after attention, for one chunk.
void CudaBackend::prompt_rest(int layer, int offset, int rows) {
  float* x = act_.x + int64_t(offset) * config().hidden;
  output_add_rows(layer, x, rows);
  norm_gate_up_rows(layer, x, rows);
  down_add_rows(layer, x, rows);
}

// The prompt's keys and values, in the read buffers or in place until now, go where their formats
// keep them. back: where they were then holds what the stores give back.
Result<void> CudaBackend::prompt_store(const Prompt& prompt, int layer, bool back) {
  const ModelConfig& c = config();
  const CacheView read = kv_.read();
  const std::pair<const TensorMemory*, void*> tensors[] = {{&kv_.key(layer), read.k},
                                                           {&kv_.value(layer), read.v}};
  for (const auto& [tensor, buffer] : tensors) {
    KvRows row;
    if (!tensor->whole) row.store[0] = static_cast<uint16_t>(prompt.slot);
    if (kv_.whole(layer)) {  // decoded, or exact beside it
      if (tensor->quantized())
        KVTOLL_TRY_VOID(quantize_in_place(layer, *tensor, row, kv_.exact(*tensor, prompt.slot), 0,
                                          prompt.tokens, 0));
    } else if (tensor->whole) {  // exact beside a store
      const int64_t head = request_.max_tokens * c.head_dim;
      const KvCopyParams p{
          buffer,    kv_.exact(*tensor, prompt.slot), head, head, prompt.tokens, c.kv_heads,
          c.head_dim};
      kv_device_copy(p, options_.cache, stream_.get(), kv_run(layer));
    } else if (back) {
      KVTOLL_TRY_VOID(quantize_in_place(layer, *tensor, row, buffer, 0, prompt.tokens, 0));
    } else {
      KVTOLL_TRY_VOID(store_tensor(layer, *tensor, row, buffer, prompt.tokens, 0));
    }
  }
  return {};
}

// One layer of a prompt. Quantized prefill stores first and attends to what it reads back, so the
// queries of each chunk are made a second time.
Result<void> CudaBackend::prompt_layer(const Prompt& prompt, int layer) {
  const auto n = static_cast<int>(prompt.tokens);
  const bool quantized = kv_.key(layer).quantized() || kv_.value(layer).quantized();
  const bool read_back = quantized && options_.prefill == Prefill::kQuantized;
  RopeParams places = prompt_places(layer);
  if (read_back) {
    for (int offset = 0; offset < n; offset += act_.chunk)
      prompt_qkv(prompt, layer, offset, std::min(act_.chunk, n - offset), places);
    KVTOLL_TRY_VOID(prompt_store(prompt, layer, true));
    // The keys and values of the second time go where nobody reads them.
    places.cache = {kv_.dequantized(), kv_.dequantized(), request_.max_tokens,
                    config().kv_heads, config().head_dim, request_.max_tokens};
    places.place = RopeParams::Place::kSingle;
  }
  for (int offset = 0; offset < n; offset += act_.chunk) {
    const int rows = std::min(act_.chunk, n - offset);
    prompt_qkv(prompt, layer, offset, rows, places);
    prompt_attention(prompt, layer, offset, rows);
    prompt_rest(layer, offset, rows);
  }
  if (quantized && !read_back) return prompt_store(prompt, layer, false);
  return {};
}

Result<void> CudaBackend::prompt_layers(const Prompt& prompt) {
  const ModelConfig& c = config();
  const auto n = static_cast<int>(prompt.tokens);
  EmbedParams p;
  p.table = weights_.embedding;
  p.tokens = act_.tokens;
  p.rows = {act_.row_slot + prompt.row, act_.slot_length, 0, true};
  p.x = act_.x;
  p.row_count = n;
  p.hidden = c.hidden;
  log_.run({"embed_kernel", {embed_bytes(n, c.hidden)}},
           [&] { launch_embed(p, options_.weights, launch_context()); });
  for (int layer = 0; layer < c.layers; ++layer) KVTOLL_TRY_VOID(prompt_layer(prompt, layer));
  const int row = all_logits_ ? 0 : prompt.row;
  lm_head_rows(act_.x + int64_t(n - 1) * c.hidden, 1, row);
  ArgmaxParams a;
  a.logits = act_.logits + int64_t(row) * c.vocab;
  a.vocab = c.vocab;
  a.row_count = 1;
  a.slot = act_.row_slot + prompt.row;
  a.best = act_.best;
  a.done = act_.done;
  a.slot_token = act_.slot_token;
  a.next = next_.get<int>() + prompt.row;
  a.slots = request_.slots;
  a.length = act_.slot_length;
  a.advance = n;
  log_.run({"argmax_kernel", {argmax_bytes(1, c.vocab)}},
           [&] { launch_argmax(a, launch_context()); });
  return {};
}

}  // namespace kvtoll::cuda
