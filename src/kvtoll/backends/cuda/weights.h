// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A model's weights on the device: matrices in fp16 or bf16, joined where one product reads them
// (q, k, v one below the other; gate and up row by row in turn), norms and biases as fp32 that were
// rounded to the weights' dtype. One allocation. Synthetic weights are made in place.
#pragma once

#include <memory>
#include <vector>

#include "kvtoll/core/dtype.h"
#include "kvtoll/device/memory.h"
#include "kvtoll/device/stream.h"
#include "kvtoll/model/checkpoint.h"

namespace kvtoll::cuda {

struct LayerWeights {
  // [q_width + 2 kv_width, hidden]; rows d and d + head_dim / 2 of each q and k head, which RoPE
  // turns together, are rows 2 d and 2 d + 1 (qkv_bias likewise).
  void* qkv = nullptr;
  void* o = nullptr;        // [hidden, q_width]
  void* gate_up = nullptr;  // [2 ffn, hidden], rows 2i: gate i, 2i + 1: up i
  void* down = nullptr;     // [hidden, ffn]
  float *attn_norm = nullptr, *ffn_norm = nullptr;  // [hidden]
  float *q_norm = nullptr, *k_norm = nullptr;       // [head_dim] or null
  float *qkv_bias = nullptr, *o_bias = nullptr;     // or null
  float *gate_up_bias = nullptr, *down_bias = nullptr;
};

struct Weights {
  DeviceBuffer memory;
  std::vector<LayerWeights> layers;
  void* embedding = nullptr;  // [vocab, hidden]
  void* lm_head = nullptr;    // [vocab, hidden]; the embedding when tied
  float* final_norm = nullptr;
  float* inv_freq = nullptr;  // [head_dim / 2]
  float attention_factor = 1.0f;
};

// Errors: kOutOfMemory with what the weights take and what is free, those of the checkpoint.
Result<Weights> load_weights(const Checkpoint& checkpoint, DType dtype, DeviceMemory& memory,
                             const Stream& stream);

}  // namespace kvtoll::cuda
