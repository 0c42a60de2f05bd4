// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The products of several rows, of a decode step or a prompt, and what stands between them: up to
// 8 rows our kernel, with bias, addition and activation in it, otherwise cuBLAS and small kernels.
#include "kvtoll/backends/cuda/cuda_backend.h"
#include "kvtoll/backends/cuda/elementwise.h"
#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/core/check.h"

namespace kvtoll::cuda {

void CudaBackend::product(std::string_view kernel, int layer, const GemmRowsParams& p) {
  const OpNote note{kernel, {gemm_rows_bytes(p)}, layer};
  if (const auto plan = gemm_rows_.plan(p.n, p.k))
    return log_.run(note, [&] { launch_gemm_rows(p, *plan, options_.weights, launch_context()); });
  KVTOLL_CHECK(p.finish != GemmFinish::kGate, "{}: {} rows are not the rows kernel's", kernel, p.n);
  auto* out = static_cast<float*>(p.out);
  log_.run(note, [&] {
    blas_->multiply(
        {p.weights, p.x, out, p.n, p.rows, p.k, p.finish == GemmFinish::kAdd, options_.weights});
  });
  if (!p.bias) return;
  log_.run({"bias_add_kernel", {bias_add_bytes(p.n, p.rows)}, layer},
           [&] { launch_bias_add(out, p.bias, p.n, p.rows, launch_context()); });
}

NextGemm CudaBackend::next_gemm(int layer, Stage stage, int n) const {
  const NextWeights next = next_weights(layer, stage);
  const auto k = static_cast<int>(next.row_bytes / 2);
  const auto plan = gemm_rows_.plan(n, k);
  return plan ? NextGemm{next.weights, next.rows, k, plan->cluster, plan->clusters} : NextGemm{};
}

void CudaBackend::normalize(int layer, const float* x, const float* weight, int n) {
  const ModelConfig& c = config();
  log_.run({"rmsnorm_kernel", {rmsnorm_bytes(n, c.hidden)}, layer}, [&] {
    launch_rmsnorm(x, weight, static_cast<float>(c.rms_eps), n, c.hidden, act_.normed,
                   options_.weights, launch_context());
  });
}

// The bias is rope_append's. (What comes next is attention, whose keys and values would push
// prefetched weights out of the L2.)
void CudaBackend::norm_qkv_rows(int layer, const float* x, int n) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  normalize(layer, x, w.attn_norm, n);
  product("gemm_qkv", layer,
          {w.qkv, nullptr, c.q_width() + 2 * c.kv_width(), c.hidden, act_.normed, n, act_.qkv});
}

void CudaBackend::output_add_rows(int layer, float* x, int n) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  product("gemm_output", layer,
          {w.o, w.o_bias, c.hidden, c.q_width(), act_.attended, n, x, GemmFinish::kAdd,
           next_gemm(layer, Stage::kOutput, n)});
}

void CudaBackend::norm_gate_up_rows(int layer, const float* x, int n) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  normalize(layer, x, w.ffn_norm, n);
  GemmRowsParams p{w.gate_up, w.gate_up_bias, 2 * c.ffn, c.hidden, act_.normed, n};
  if (gemm_rows_.plan(n, c.hidden)) {
    p.out = act_.hidden;
    p.finish = GemmFinish::kGate;
    p.next = next_gemm(layer, Stage::kGateUp, n);
    return product("gemm_gate_up", layer, p);
  }
  p.bias = nullptr;  // silu_mul's
  p.out = act_.gate_up;
  product("gemm_gate_up", layer, p);
  log_.run({"silu_mul_kernel", {silu_mul_bytes(n, c.ffn)}, layer}, [&] {
    launch_silu_mul(act_.gate_up, w.gate_up_bias, n, c.ffn, act_.hidden, options_.weights,
                    launch_context());
  });
}

void CudaBackend::down_add_rows(int layer, float* x, int n) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  product("gemm_down", layer,
          {w.down, w.down_bias, c.hidden, c.ffn, act_.hidden, n, x, GemmFinish::kAdd,
           next_gemm(layer, Stage::kDown, n)});
}

// x [rows, hidden] -> act_.logits from row first_logit_row on.
void CudaBackend::lm_head_rows(const float* x, int rows, int first_logit_row) {
  const ModelConfig& c = config();
  float* out = act_.logits + int64_t(first_logit_row) * c.vocab;
  if (rows > 1) {
    normalize(-1, x, weights_.final_norm, rows);
    return product("gemm_lm_head", -1,
                   {weights_.lm_head, nullptr, c.vocab, c.hidden, act_.normed, rows, out});
  }
  GemvParams p{
      weights_.lm_head, c.vocab, c.hidden, x, weights_.final_norm, static_cast<float>(c.rms_eps),
      nullptr,          out};
  log_.run({"norm_lm_head_gemv_kernel", {gemv_bytes(c.vocab, c.hidden, 4, false, false)}},
           [&] { launch_norm_lm_head(p, options_.weights, launch_context()); });
}

}  // namespace kvtoll::cuda
