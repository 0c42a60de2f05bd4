// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The step's buffers: activations of a decode step (one row a sequence) and of a chunk of a prompt,
// and the small arrays that tell kernels which sequences the rows are. One allocation.
#pragma once

#include <cuda_runtime.h>

#include "kvtoll/backends/cuda/slab.h"
#include "kvtoll/model/config.h"

namespace kvtoll::cuda {

struct Activations {
  float* x = nullptr;        // [max(rows, prompt), hidden] residual stream
  float* qkv = nullptr;      // [chunk, q_width + 2 kv_width]
  void* q = nullptr;         // [chunk, q_width] cache dtype
  void* attended = nullptr;  // [chunk, q_width] weights' dtype
  void* normed = nullptr;    // [chunk, hidden] weights' dtype
  float* gate_up = nullptr;  // [chunk, 2 ffn]; more than one row only
  void* hidden = nullptr;    // [chunk, ffn] weights' dtype
  float* logits = nullptr;   // [max(slots, logit_rows), vocab]
  float* partial = nullptr;  // attention_decode.h
  float2* stats = nullptr;
  unsigned* arrived = nullptr;         // [partial items] attention_decode.h; zero between launches
  float2* turns = nullptr;             // [slots, head_dim / 2]
  int* tokens = nullptr;               // [prompt]
  int* row_slot = nullptr;             // [slots]
  int* slot_token = nullptr;           // [slots] what a slot feeds next
  int* slot_length = nullptr;          // [slots] cached tokens
  unsigned long long* best = nullptr;  // [slots] argmax_kernel
  unsigned* done = nullptr;            // [slots]
  int64_t state_bytes = 0;             // from row_slot on: zeroed at reserve
  int chunk = 0, logit_rows = 0;
};

// Sizes for `slots` sequences, prompts up to `prompt` tokens that go through a layer at most
// `most_chunk` at a time, `partial` floats of split attention.
void plan_activations(Activations& a, const ModelConfig& c, int slots, int64_t prompt,
                      int most_chunk, int64_t partial, Slab& slab);

}  // namespace kvtoll::cuda
