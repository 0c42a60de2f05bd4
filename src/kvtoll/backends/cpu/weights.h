// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A model's weights in the backend's memory: matrices in the compute dtype, joined where one
// product reads them (q, k and v; gate and up), norms and biases as fp32 (rounded to the compute
// dtype first, as a model loaded in that dtype has them).
#pragma once

#include <cstdint>
#include <vector>

#include "kvtoll/backends/cpu/buffer.h"
#include "kvtoll/core/result.h"
#include "kvtoll/core/thread_pool.h"
#include "kvtoll/model/checkpoint.h"

namespace kvtoll::cpu {

struct Matrix {
  Buffer data;  // [rows, in]
  DType dtype = DType::kF16;
  int64_t rows = 0, in = 0;
  Bytes bytes() const { return Bytes(rows * in * dtype_size(dtype)); }
};

struct LayerWeights {
  Matrix qkv;                                                    // [q_width + 2 kv_width, hidden]
  Matrix o;                                                      // [hidden, q_width]
  Matrix gate_up;                                                // [2 ffn, hidden]: gate, then up
  Matrix down;                                                   // [hidden, ffn]
  std::vector<float> attn_norm, ffn_norm;                        // [hidden]
  std::vector<float> q_norm, k_norm;                             // [head_dim] or empty
  std::vector<float> qkv_bias, o_bias, gate_up_bias, down_bias;  // or empty
};

class Weights {
 public:
  // Errors: those of Checkpoint::tensor; kOutOfMemory when the weights cannot fit into free memory.
  static Result<Weights> load(const Checkpoint& checkpoint, DType dtype, ThreadPool& pool);

  std::vector<LayerWeights> layers;
  Matrix embedding;               // [vocab, hidden]
  Matrix separate_lm_head;        // empty when tied
  std::vector<float> final_norm;  // [hidden]
  const Matrix& lm_head() const { return separate_lm_head.rows ? separate_lm_head : embedding; }
  Bytes bytes() const;
};

// What Weights::load will allocate.
Bytes weight_bytes(const ModelConfig& config, DType dtype);

}  // namespace kvtoll::cpu
