// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// synthetic_geometries() of checkpoint.h: the published config.json of each model as data, and a
// few tiny ones for tests and the demo.
#include "kvtoll/model/checkpoint.h"

namespace kvtoll {
namespace {

struct Sizes {
  const char* name;
  int layers, hidden, heads, kv_heads, head_dim, ffn, vocab, max_position;
  double rope_theta;
  bool tied;
};

constexpr int kQwenImEnd = 151645, kQwenEndOfText = 151643;

constexpr Sizes kQwen2[] = {
    {"qwen2.5-0.5b", 24, 896, 14, 2, 64, 4864, 151936, 32768, 1e6, true},
    {"qwen2.5-1.5b", 28, 1536, 12, 2, 128, 8960, 151936, 32768, 1e6, true},
    {"qwen2.5-3b", 36, 2048, 16, 2, 128, 11008, 151936, 32768, 1e6, true},
    {"qwen2.5-7b", 28, 3584, 28, 4, 128, 18944, 152064, 32768, 1e6, false},
    {"qwen2.5-14b", 48, 5120, 40, 8, 128, 13824, 152064, 32768, 1e6, false},
    {"deepseek-r1-distill-qwen-1.5b", 28, 1536, 12, 2, 128, 8960, 151936, 131072, 1e4, false},
    {"deepseek-r1-distill-qwen-7b", 28, 3584, 28, 4, 128, 18944, 152064, 131072, 1e4, false},
    {"tiny-qwen2", 4, 256, 4, 2, 64, 512, 1024, 32768, 1e6, true},
};
constexpr Sizes kQwen3[] = {
    {"qwen3-0.6b", 28, 1024, 16, 8, 128, 3072, 151936, 40960, 1e6, true},
    {"qwen3-1.7b", 28, 2048, 16, 8, 128, 6144, 151936, 40960, 1e6, true},
    {"qwen3-4b", 36, 2560, 32, 8, 128, 9728, 151936, 40960, 1e6, true},
    {"qwen3-8b", 36, 4096, 32, 8, 128, 12288, 151936, 40960, 1e6, false},
    {"tiny-qwen3", 3, 192, 4, 2, 128, 384, 1024, 40960, 1e6, false},
};
constexpr Sizes kLlama[] = {
    {"llama-3.2-1b", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 5e5, true},
    {"llama-3.2-3b", 28, 3072, 24, 8, 128, 8192, 128256, 131072, 5e5, true},
    {"llama-3.1-8b", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 5e5, false},
    {"smollm2-135m", 30, 576, 9, 3, 64, 1536, 49152, 8192, 1e5, true},
    {"tiny-llama", 2, 128, 4, 1, 64, 384, 1024, 131072, 5e5, false},
};

ModelConfig from_sizes(const Sizes& s, ModelFamily family) {
  ModelConfig c;
  c.name = s.name;
  c.family = family;
  c.layers = s.layers;
  c.hidden = s.hidden;
  c.heads = s.heads;
  c.kv_heads = s.kv_heads;
  c.head_dim = s.head_dim;
  c.ffn = s.ffn;
  c.vocab = s.vocab;
  c.max_position = s.max_position;
  c.rope.theta = s.rope_theta;
  c.tied_embeddings = s.tied;
  c.rms_eps = family == ModelFamily::kLlama ? 1e-5 : 1e-6;
  c.qkv_bias = family == ModelFamily::kQwen2;
  c.qk_norm = family == ModelFamily::kQwen3;
  return c;
}

void add_special_tokens(ModelConfig& c) {
  if (c.vocab == 1024) {  // tiny: the last id
    c.eos_tokens = {1023};
  } else if (c.family != ModelFamily::kLlama) {
    const bool r1 = c.name.starts_with("deepseek");
    c.eos_tokens = r1 ? std::vector{kQwenEndOfText} : std::vector{kQwenImEnd, kQwenEndOfText};
    c.bos_token = r1 ? 151646 : kQwenEndOfText;
  } else if (c.vocab == 128256) {
    c.eos_tokens = {128001, 128008, 128009};
    c.bos_token = 128000;
  } else {
    c.eos_tokens = {2};
    c.bos_token = 1;
  }
}

void add_llama3_rope(ModelConfig& c) {
  if (c.family != ModelFamily::kLlama || c.max_position != 131072) return;
  c.rope.scaling = RopeScaling::kLlama3;
  c.rope.factor = c.name.starts_with("llama-3.2") ? 32.0 : 8.0;
  c.rope.original_max_position = 8192;
  c.rope.low_freq_factor = 1.0;
  c.rope.high_freq_factor = 4.0;
}

std::vector<ModelConfig> make_geometries() {
  std::vector<ModelConfig> out;
  for (const Sizes& s : kQwen2) out.push_back(from_sizes(s, ModelFamily::kQwen2));
  for (const Sizes& s : kQwen3) out.push_back(from_sizes(s, ModelFamily::kQwen3));
  for (const Sizes& s : kLlama) out.push_back(from_sizes(s, ModelFamily::kLlama));
  for (ModelConfig& c : out) {
    add_special_tokens(c);
    add_llama3_rope(c);
  }
  return out;
}

}  // namespace

const std::vector<ModelConfig>& synthetic_geometries() {
  static const std::vector<ModelConfig> geometries = make_geometries();
  return geometries;
}

}  // namespace kvtoll
