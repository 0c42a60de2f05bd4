// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The operations of a decode step. One row: matrix-vector kernels with norms, biases and activation
// fused in. More rows: products.cc.
#include "kvtoll/backends/cuda/cuda_backend.h"
#include "kvtoll/backends/cuda/elementwise.h"
#include "kvtoll/backends/cuda/gemv.h"

namespace kvtoll::cuda {

LaunchContext CudaBackend::launch_context() const {
  return {stream_.get(), device_.multiprocessors, max_shared_, capturing_};
}

NextWeights CudaBackend::next_weights(int layer, Stage stage) const {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const int64_t hidden = int64_t(c.hidden) * 2;
  switch (stage) {
    case Stage::kQkv:
      return {w.o, int64_t(c.q_width()) * 2, c.hidden, 1};
    case Stage::kOutput:
      return {w.gate_up, hidden, 2 * c.ffn, 2};
    case Stage::kGateUp:
      return {w.down, int64_t(c.ffn) * 2, c.hidden, 1};
    case Stage::kDown:
      break;
  }
  if (layer + 1 == c.layers) return {weights_.lm_head, hidden, c.vocab, 1};
  return {weights_.layers[static_cast<size_t>(layer) + 1].qkv, hidden,
          c.q_width() + 2 * c.kv_width(), 2};
}

void CudaBackend::embed() {
  EmbedParams p;
  p.table = weights_.embedding;
  p.tokens = act_.slot_token;
  p.rows = decode_rows();
  p.x = act_.x;
  p.row_count = row_count_;
  p.hidden = config().hidden;
  p.turns = act_.turns;
  p.inv_freq = weights_.inv_freq;
  p.attention_factor = weights_.attention_factor;
  p.half = config().head_dim / 2;
  log_.run({"embed_kernel", {embed_bytes(row_count_, config().hidden)}},
           [&] { launch_embed(p, options_.weights, launch_context()); });
}

void CudaBackend::norm_qkv(int layer) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const int width = c.q_width() + 2 * c.kv_width();
  if (row_count_ > 1) return norm_qkv_rows(layer, act_.x, row_count_);
  QkvRopeParams p;
  static_cast<GemvParams&>(p) = {w.qkv,      width,       c.hidden,
                                 act_.x,     w.attn_norm, static_cast<float>(c.rms_eps),
                                 w.qkv_bias, act_.qkv};
  if (!grid_.streams()) p.next = next_weights(layer, Stage::kQkv);
  if (!rope_in_product())
    return log_.run(
        {"norm_qkv_gemv_kernel", {gemv_bytes(width, c.hidden, 4, false, w.qkv_bias)}, layer},
        [&] { launch_norm_qkv(p, options_.weights, launch_context()); });
  p.turns = act_.turns;
  p.map = decode_rows();
  p.heads = c.heads;
  p.q = act_.q;
  p.cache = kv_.rows(layer);
  p.half = options_.cache == DType::kF16;
  log_.run(
      {"norm_qkv_rope_gemv_kernel", {gemv_bytes(width, c.hidden, 2, false, w.qkv_bias)}, layer},
      [&] { launch_norm_qkv_rope(p, options_.weights, launch_context()); });
}

// places: rows and where keys and values go; the rest is filled in here.
void CudaBackend::rope(int layer, const RopeParams& places, const float* bias, int n) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  RopeParams p = places;
  p.qkv = act_.qkv;
  p.bias = bias;
  p.q_norm = w.q_norm;
  p.k_norm = w.k_norm;
  p.inv_freq = weights_.inv_freq;
  p.attention_factor = weights_.attention_factor;
  p.eps = static_cast<float>(c.rms_eps);
  p.heads = c.heads;
  p.row_count = n;
  p.q = act_.q;
  log_.run({"rope_append_kernel", {rope_append_bytes(n, c.heads, c.kv_heads, c.head_dim)}, layer},
           [&] { launch_rope_append(p, options_.cache, launch_context()); });
}

void CudaBackend::rope_append(int layer) {
  if (rope_in_product()) return;
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  RopeParams places;
  places.rows = decode_rows();
  places.cache = kv_.rows(layer);
  places.k_start = kv_.starts(kv_.key(layer));
  places.v_start = kv_.starts(kv_.value(layer));
  rope(layer, places, row_count_ > 1 ? w.qkv_bias : nullptr, row_count_);
}

// by_row: the view is indexed by row of the step (materialized), not by slot.
void CudaBackend::attend_to(int layer, const CacheView& view, bool by_row) {
  const ModelConfig& c = config();
  AttentionParams p;
  p.q = act_.q;
  p.cache = view;
  p.rows = decode_rows();
  p.slot_is_row = by_row;
  p.out = act_.attended;
  p.out_dtype = options_.weights;
  p.partial = act_.partial;
  p.stats = act_.stats;
  p.arrived = act_.arrived;
  p.heads = c.heads;
  p.row_count = row_count_;
  p.grid = grid_;
  if (row_count_ == 1 && p.grid.streams()) p.next = next_weights(layer, Stage::kQkv);
  const OpBytes bytes{attention_decode_bytes(0, row_count_, c.heads, c.kv_heads, c.head_dim),
                      attention_decode_bytes(1, 0, c.heads, c.kv_heads, c.head_dim)};
  log_.run({"attention_decode_kernel", bytes, layer},
           [&] { launch_attention_decode(p, options_.cache, launch_context()); });
}

void CudaBackend::attend(int layer) {
  if (failure_) return;
  if (in_place()) return attend_to(layer, kv_.rows(layer), false);
  try {
    if (const auto done = attend_materialized(layer); !done) failure_ = done.error();
  } catch (const CudaError& error) {  // of a call between the launches
    if (capturing_) throw;
    failure_ = Error{ErrorKind::kMachine, error.what()};
  }
}

void CudaBackend::output_add(int layer) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  if (row_count_ > 1) return output_add_rows(layer, act_.x, row_count_);
  GemvParams p{w.o, c.hidden, c.q_width(), act_.attended, nullptr, 0.0f, w.o_bias, act_.x};
  p.next = next_weights(layer, Stage::kOutput);
  p.late_x = grid_.streams();
  log_.run({"output_gemv_kernel", {gemv_bytes(c.hidden, c.q_width(), 4, true, w.o_bias)}, layer},
           [&] { launch_output_add(p, options_.weights, launch_context()); });
}

void CudaBackend::norm_gate_up(int layer) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  if (row_count_ > 1) return norm_gate_up_rows(layer, act_.x, row_count_);
  GemvParams p{w.gate_up,      2 * c.ffn,  c.hidden,
               act_.x,         w.ffn_norm, static_cast<float>(c.rms_eps),
               w.gate_up_bias, act_.hidden};
  p.next = next_weights(layer, Stage::kGateUp);
  log_.run({"norm_gate_up_gemv_kernel",
            {gemv_bytes(2 * c.ffn, c.hidden, 1, false, w.gate_up_bias)},
            layer},
           [&] { launch_norm_gate_up(p, options_.weights, launch_context()); });
}

void CudaBackend::down_add(int layer) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  if (row_count_ > 1) return down_add_rows(layer, act_.x, row_count_);
  GemvParams p{w.down, c.hidden, c.ffn, act_.hidden, nullptr, 0.0f, w.down_bias, act_.x};
  p.next = next_weights(layer, Stage::kDown);
  log_.run({"down_gemv_kernel", {gemv_bytes(c.hidden, c.ffn, 4, true, w.down_bias)}, layer},
           [&] { launch_down_add(p, options_.weights, launch_context()); });
}

void CudaBackend::norm_lm_head() { lm_head_rows(act_.x, row_count_, 0); }

void CudaBackend::argmax() {
  ArgmaxParams p;
  p.logits = act_.logits;
  p.vocab = config().vocab;
  p.row_count = row_count_;
  p.slot = act_.row_slot;
  p.best = act_.best;
  p.done = act_.done;
  p.slot_token = act_.slot_token;
  p.next = next_.get<int>();
  p.slots = request_.slots;
  p.length = act_.slot_length;
  p.advance = 1;
  log_.run({"argmax_kernel", {argmax_bytes(row_count_, p.vocab)}},
           [&] { launch_argmax(p, launch_context()); });
}

}  // namespace kvtoll::cuda
