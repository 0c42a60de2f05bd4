// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The products of several rows, of a decode step or a prompt: cuBLAS between small kernels.
#include "kvtoll/backends/cuda/cuda_backend.h"
#include "kvtoll/backends/cuda/elementwise.h"
#include "kvtoll/backends/cuda/gemv.h"

namespace kvtoll::cuda {

void CudaBackend::product(std::string_view kernel, int layer, const Product& p, const float* bias) {
  log_.run({kernel, {product_bytes(p)}, layer}, [&] { blas_->multiply(p); });
  if (!bias) return;
  log_.run({"bias_add_kernel", {bias_add_bytes(p.n, p.rows)}, layer},
           [&] { launch_bias_add(p.out, bias, p.n, p.rows, launch_context()); });
}

void CudaBackend::normalize(int layer, const float* x, const float* weight, int n) {
  const ModelConfig& c = config();
  log_.run({"rmsnorm_kernel", {rmsnorm_bytes(n, c.hidden)}, layer}, [&] {
    launch_rmsnorm(x, weight, static_cast<float>(c.rms_eps), n, c.hidden, act_.normed,
                   options_.weights, launch_context());
  });
}

// The bias is rope_append's.
void CudaBackend::norm_qkv_rows(int layer, const float* x, int n) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  const int width = c.q_width() + 2 * c.kv_width();
  normalize(layer, x, w.attn_norm, n);
  product("gemm_qkv", layer,
          {w.qkv, act_.normed, act_.qkv, n, width, c.hidden, false, options_.weights}, nullptr);
}

void CudaBackend::output_add_rows(int layer, float* x, int n) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  product("gemm_output", layer,
          {w.o, act_.attended, x, n, c.hidden, c.q_width(), true, options_.weights}, w.o_bias);
}

// The bias is silu_mul's.
void CudaBackend::norm_gate_up_rows(int layer, const float* x, int n) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  normalize(layer, x, w.ffn_norm, n);
  product("gemm_gate_up", layer,
          {w.gate_up, act_.normed, act_.gate_up, n, 2 * c.ffn, c.hidden, false, options_.weights},
          nullptr);
  log_.run({"silu_mul_kernel", {silu_mul_bytes(n, c.ffn)}, layer}, [&] {
    launch_silu_mul(act_.gate_up, w.gate_up_bias, n, c.ffn, act_.hidden, options_.weights,
                    launch_context());
  });
}

void CudaBackend::down_add_rows(int layer, float* x, int n) {
  const ModelConfig& c = config();
  const LayerWeights& w = weights_.layers[static_cast<size_t>(layer)];
  product("gemm_down", layer, {w.down, act_.hidden, x, n, c.hidden, c.ffn, true, options_.weights},
          w.down_bias);
}

// x [rows, hidden] -> act_.logits from row first_logit_row on.
void CudaBackend::lm_head_rows(const float* x, int rows, int first_logit_row) {
  const ModelConfig& c = config();
  float* out = act_.logits + int64_t(first_logit_row) * c.vocab;
  if (rows > 1) {
    normalize(-1, x, weights_.final_norm, rows);
    return product(
        "gemm_lm_head", -1,
        {weights_.lm_head, act_.normed, out, rows, c.vocab, c.hidden, false, options_.weights},
        nullptr);
  }
  GemvParams p{
      weights_.lm_head, c.vocab, c.hidden, x, weights_.final_norm, static_cast<float>(c.rms_eps),
      nullptr,          out};
  log_.run({"norm_lm_head_gemv_kernel", {gemv_bytes(c.vocab, c.hidden, 4, false, false)}},
           [&] { launch_norm_lm_head(p, options_.weights, launch_context()); });
}

}  // namespace kvtoll::cuda
