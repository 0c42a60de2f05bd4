// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The operations of a step but attention: each marks its kernels and the bytes they must move.
#include <algorithm>
#include <cstring>

#include "kvtoll/backends/cpu/bytes.h"
#include "kvtoll/backends/cpu/cpu_backend.h"

namespace kvtoll::cpu {
namespace {

// Below this many fp32 values an elementwise loop is faster on one thread than woken workers.
constexpr int64_t kParallelValues = 1 << 14;
constexpr int64_t kRowGrain = 16;  // weight rows per piece of a product
// Products below this many multiplications stay on one thread for the same reason.
constexpr int64_t kParallelProducts = 1 << 16;

void for_tokens(ThreadPool& pool, int64_t tokens, int64_t width,
                const std::function<void(int64_t)>& body) {
  if (tokens * width < kParallelValues) {
    for (int64_t t = 0; t < tokens; ++t) body(t);
    return;
  }
  pool.parallel_for(tokens, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) body(t);
  });
}

}  // namespace

void CpuBackend::embed() {
  const int64_t n = static_cast<int64_t>(tokens_.size()), hidden = config().hidden;
  const Matrix& table = weights_.embedding;
  const trace::Span span({"cpu_embed", embed_bytes(n, hidden, table.dtype)});
  for (int64_t t = 0; t < n; ++t) {
    const int64_t at = tokens_[static_cast<size_t>(t)] * hidden * dtype_size(table.dtype);
    widen(table.data.as<std::byte>() + at, table.dtype, hidden, x_.as<float>() + t * hidden);
  }
}

void CpuBackend::norm(int layer, const std::vector<float>& weight, const float* x, int64_t rows,
                      float* y) {
  const int64_t width = static_cast<int64_t>(weight.size());
  const trace::Span span({"cpu_rmsnorm", norm_bytes(rows, width), layer});
  const float eps = static_cast<float>(config().rms_eps);
  for_tokens(pool_, rows, width,
             [&](int64_t t) { rms_norm(x + t * width, weight.data(), eps, width, y + t * width); });
}

void CpuBackend::matmul(const char* kernel, int layer, const Matrix& w,
                        const std::vector<float>& bias, const float* x, int64_t tokens, float* y,
                        bool add) {
  const trace::Span span({kernel, matmul_bytes(w.bytes(), w.rows, w.in, tokens, add), layer});
  const Matmul m{.w = w.data.as<std::byte>(),
                 .dtype = w.dtype,
                 .in = w.in,
                 .x = x,
                 .tokens = tokens,
                 .y = y,
                 .y_stride = w.rows,
                 .bias = bias.empty() ? nullptr : bias.data(),
                 .add = add};
  if (w.rows * w.in * tokens < kParallelProducts) return matmul_rows(m, 0, w.rows);
  pool_.parallel_for(w.rows, kRowGrain,
                     [&](int64_t begin, int64_t end) { matmul_rows(m, begin, end); });
}

void CpuBackend::norm_qkv(int layer) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const int64_t n = static_cast<int64_t>(tokens_.size());
  norm(layer, w.attn_norm, x_.as<float>(), n, normed_.as<float>());
  matmul("cpu_gemv_qkv", layer, w.qkv, w.qkv_bias, normed_.as<float>(), n, qkv_.as<float>(), false);
}

void CpuBackend::qk_norm(int layer) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const ModelConfig& c = config();
  const int64_t n = static_cast<int64_t>(tokens_.size()), dim = c.head_dim;
  const int64_t width = c.q_width() + 2 * c.kv_width();
  const trace::Span span({"cpu_qk_norm", norm_bytes(n * (c.heads + c.kv_heads), dim), layer});
  const float eps = static_cast<float>(c.rms_eps);
  for_tokens(pool_, n, width, [&](int64_t t) {
    float* row = qkv_.as<float>() + t * width;
    for (int h = 0; h < c.heads + c.kv_heads; ++h)
      rms_norm(row + h * dim, (h < c.heads ? w.q_norm : w.k_norm).data(), eps, dim, row + h * dim);
  });
}

// Rotates token t's q and k, rounds k and v to the cache's dtype and sorts them by head.
void CpuBackend::rope_token(int layer, const SlotWork& work, int64_t t) {
  const ModelConfig& c = config();
  const KvPair& format = request_.layers[static_cast<size_t>(layer)];
  const int64_t dim = c.head_dim, half = dim / 2, row = work.row + t;
  const float* in = qkv_.as<float>() + row * (c.q_width() + 2 * c.kv_width());
  const float *cos = cos_.as<float>() + row * half, *sin = sin_.as<float>() + row * half;
  float* q = q_.as<float>() + row * c.q_width();
  std::copy_n(in, c.q_width(), q);
  for (int h = 0; h < c.heads; ++h) rope(q + h * dim, cos, sin, half);
  const int64_t slot_base = work.row * c.kv_width();
  for (int h = 0; h < c.kv_heads; ++h) {
    const int64_t at = slot_base + (h * work.n + t) * dim;
    float *k = k_new_.as<float>() + at, *v = v_new_.as<float>() + at;
    std::copy_n(in + c.q_width() + h * dim, dim, k);
    std::copy_n(in + c.q_width() + c.kv_width() + h * dim, dim, v);
    rope(k, cos, sin, half);
    round_to(k, dim, format.key.quantized() ? options_.cache : format.key.dtype);
    round_to(v, dim, format.value.quantized() ? options_.cache : format.value.dtype);
  }
}

void CpuBackend::rope_append(int layer) {
  const ModelConfig& c = config();
  if (c.qk_norm) qk_norm(layer);
  {
    const int64_t n = static_cast<int64_t>(tokens_.size());
    const trace::Span span(
        {"cpu_rope", rope_bytes(n, c.q_width(), c.kv_width(), c.head_dim), layer});
    for (const SlotWork& work : work_)
      for_tokens(pool_, work.n, c.q_width() + 2 * c.kv_width(),
                 [&](int64_t t) { rope_token(layer, work, t); });
  }
  // Exact tensors take their tokens in now and are read in place; quantized ones after attention.
  for (const SlotWork& work : work_) {
    std::vector<Intake> exact;
    for (const Intake& in : {Intake{&cache_->key(work.slot, layer), &k_new_},
                             Intake{&cache_->value(work.slot, layer), &v_new_}})
      if (!in.tensor->quantized()) exact.push_back(in);
    take_in(layer, work, exact);
  }
}

void CpuBackend::output_add(int layer) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  matmul("cpu_gemv_o", layer, w.o, w.o_bias, attended_.as<float>(),
         static_cast<int64_t>(tokens_.size()), x_.as<float>(), true);
}

void CpuBackend::norm_gate_up(int layer) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const int64_t n = static_cast<int64_t>(tokens_.size()), ffn = config().ffn;
  norm(layer, w.ffn_norm, x_.as<float>(), n, normed_.as<float>());
  matmul("cpu_gemv_gate_up", layer, w.gate_up, w.gate_up_bias, normed_.as<float>(), n,
         gate_up_.as<float>(), false);
  const trace::Span span({"cpu_swiglu", swiglu_bytes(n, ffn), layer});
  for_tokens(pool_, n, ffn, [&](int64_t t) {
    const float* gate = gate_up_.as<float>() + t * 2 * ffn;
    swiglu(gate, gate + ffn, ffn, hidden_.as<float>() + t * ffn);
  });
}

void CpuBackend::down_add(int layer) {
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  matmul("cpu_gemv_down", layer, w.down, w.down_bias, hidden_.as<float>(),
         static_cast<int64_t>(tokens_.size()), x_.as<float>(), true);
}

void CpuBackend::norm_lm_head() {
  const int64_t hidden = config().hidden;
  if (!all_logits_)  // only the last token of each slot: gather its row to the front
    for (size_t i = 0; i < work_.size(); ++i) {
      const int64_t last = work_[i].row + work_[i].n - 1;
      if (last != static_cast<int64_t>(i))
        std::copy_n(x_.as<float>() + last * hidden, hidden,
                    x_.as<float>() + static_cast<int64_t>(i) * hidden);
    }
  norm(-1, weights_.final_norm, x_.as<float>(), logit_rows_, normed_.as<float>());
  matmul("cpu_gemv_lm_head", -1, weights_.lm_head(), {}, normed_.as<float>(), logit_rows_,
         logits_.as<float>(), false);
}

void CpuBackend::argmax() {
  const int64_t vocab = config().vocab;
  const trace::Span span({"cpu_argmax", argmax_bytes(static_cast<int64_t>(work_.size()), vocab)});
  next_.resize(work_.size());
  for (size_t i = 0; i < work_.size(); ++i) {
    const int64_t row = all_logits_ ? work_[i].row + work_[i].n - 1 : static_cast<int64_t>(i);
    next_[i] = cpu::argmax(logits_.as<float>() + row * vocab, vocab);
    last_next_[static_cast<size_t>(work_[i].slot)] = next_[i];
  }
}

}  // namespace kvtoll::cpu
