// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What the network is: the geometry and constants of one model, from config.json, GGUF metadata or
// a built-in geometry. Families: Qwen2/2.5 (q/k/v bias), Qwen3 (q/k norm), Llama. Shapes are in the
// notation [out, in].
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/result.h"

namespace kvtoll {

enum class ModelFamily : uint8_t { kLlama, kQwen2, kQwen3 };
// kFreqFactors: each pair's frequency is divided by a stored factor; how GGUF carries Llama 3's.
enum class RopeScaling : uint8_t { kNone, kLlama3, kYarn, kFreqFactors };

struct RopeConfig {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  int original_max_position = 0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // Llama 3
  double beta_fast = 32.0, beta_slow = 1.0,
         attention_factor = 0.0;  // YaRN; attention_factor 0: derived from factor
  bool yarn_truncate = true;
  std::vector<float> freq_factors;  // [head_dim / 2]; empty in a GGUF head without its weights
};

struct ModelConfig {
  std::string name;  // for messages and records
  ModelFamily family = ModelFamily::kLlama;
  int layers = 0;
  int hidden = 0;
  int heads = 0;  // query heads
  int kv_heads = 0;
  int head_dim = 0;  // need not be hidden / heads
  int ffn = 0;       // width of the gated feed-forward layer
  int vocab = 0;     // rows of the embedding
  int max_position = 0;
  double rms_eps = 1e-6;
  bool tied_embeddings = false;
  bool qkv_bias = false;                  // Qwen2
  bool o_bias = false, mlp_bias = false;  // Llama's attention_bias and mlp_bias
  bool qk_norm = false;                   // Qwen3: RMSNorm of each q and k head before RoPE
  RopeConfig rope;
  std::vector<int> eos_tokens;
  int bos_token = -1;

  int q_width() const { return heads * head_dim; }
  int kv_width() const { return kv_heads * head_dim; }
  int gqa() const { return heads / kv_heads; }
};

std::string_view family_name(ModelFamily family);         // "llama", "qwen2", "qwen3"
std::string_view rope_scaling_name(RopeScaling scaling);  // "none", "llama3", "yarn", ...

// Errors: kInput when a value is missing, not finite, absurd or inconsistent; `where` names the
// file.
Result<void> validate(const ModelConfig& config, const std::string& where);

// cos/sin frequency of each rotated pair, [head_dim / 2], and the factor cos and sin are multiplied
// by (YaRN; otherwise 1). Source: transformers modeling_rope_utils (default, llama3, yarn). Pair i
// is (i, i + head_dim/2). `config` must be valid.
struct RopeTable {
  std::vector<float> inv_freq;
  float attention_factor = 1.0f;
};
RopeTable rope_table(const ModelConfig& config);

}  // namespace kvtoll
