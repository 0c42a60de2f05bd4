// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/gguf_config.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace kvtoll {
namespace {

// The keys of one architecture: "llama." + name.
class Keys {
 public:
  Keys(const GgufFile& file, std::string_view arch) : file_(file), arch_(arch) {}

  std::string where() const { return file_.path().string(); }
  const GgufFile& file() const { return file_; }
  std::string key(std::string_view name) const { return fmt::format("{}.{}", arch_, name); }
  bool contains(std::string_view name) const { return file_.contains(key(name)); }
  Result<int> count(std::string_view name) const {
    KVTOLL_TRY(const int64_t value, file_.integer(key(name)));
    return narrow(name, value);
  }
  Result<int> count(std::string_view name, int fallback) const {
    KVTOLL_TRY(const int64_t value, file_.integer(key(name), fallback));
    return narrow(name, value);
  }
  Result<double> number(std::string_view name, double fallback) const {
    return file_.number(key(name), fallback);
  }

 private:
  Result<int> narrow(std::string_view name, int64_t value) const {
    if (value < 0 || value > INT32_MAX)
      return input_error("{}: {} is {}", where(), key(name), value);
    return static_cast<int>(value);
  }
  const GgufFile& file_;
  std::string_view arch_;
};

Result<ModelFamily> read_family(const GgufFile& file, std::string_view arch) {
  if (arch == "llama") return ModelFamily::kLlama;
  if (arch == "qwen2") return ModelFamily::kQwen2;
  if (arch == "qwen3") return ModelFamily::kQwen3;
  return input_error("{}: general.architecture is \"{}\"; supported are llama, qwen2 and qwen3",
                     file.path().string(), arch.substr(0, 80));
}

Result<void> read_geometry(const Keys& k, ModelConfig& c) {
  KVTOLL_TRY(c.layers, k.count("block_count"));
  KVTOLL_TRY(c.hidden, k.count("embedding_length"));
  KVTOLL_TRY(c.ffn, k.count("feed_forward_length"));
  KVTOLL_TRY(c.heads, k.count("attention.head_count"));
  KVTOLL_TRY(c.kv_heads, k.count("attention.head_count_kv", c.heads));
  KVTOLL_TRY(c.head_dim, k.count("attention.key_length", c.heads > 0 ? c.hidden / c.heads : 0));
  KVTOLL_TRY(const int value_dim, k.count("attention.value_length", c.head_dim));
  KVTOLL_TRY(const int rotated, k.count("rope.dimension_count", c.head_dim));
  KVTOLL_TRY(c.max_position, k.count("context_length"));
  KVTOLL_TRY(c.rms_eps, k.number("attention.layer_norm_rms_epsilon", 1e-6));
  if (value_dim != c.head_dim || rotated != c.head_dim)
    return input_error(
        "{}: key length {}, value length {} and rope dimensions {} differ, which is not supported",
        k.where(), c.head_dim, value_dim, rotated);
  const GgufTensor* embedding = k.file().find_tensor("token_embd.weight");
  if (embedding == nullptr || embedding->shape.rank != 2)
    return input_error("{}: no tensor token_embd.weight", k.where());
  c.vocab = static_cast<int>(std::min<int64_t>(embedding->shape[0], INT32_MAX));
  c.tied_embeddings = k.file().find_tensor("output.weight") == nullptr;
  c.qk_norm = c.family == ModelFamily::kQwen3;
  const auto present = [&](const char* name) { return k.file().find_tensor(name) != nullptr; };
  c.qkv_bias = c.family == ModelFamily::kQwen2 || present("blk.0.attn_q.bias");
  c.o_bias = present("blk.0.attn_output.bias");
  c.mlp_bias = present("blk.0.ffn_gate.bias");
  return {};
}

Result<void> refuse_unsupported(const Keys& k) {
  KVTOLL_TRY(const int64_t parts, k.file().integer("split.count", 1));
  if (parts > 1)
    return input_error("{}: one of {} parts; merge them first (llama-gguf-split --merge)",
                       k.where(), parts);
  for (const char* name : {"expert_count", "attention.sliding_window", "logit_scale",
                           "attention.scale", "attention.clamp_kqv"}) {
    KVTOLL_TRY(const double value, k.number(name, 0.0));
    if (value != 0.0)
      return input_error("{}: {} is {}, which is not supported", k.where(), k.key(name), value);
  }
  return {};
}

Result<void> read_yarn(const Keys& k, const ModelConfig& c, RopeConfig& r) {
  r.scaling = RopeScaling::kYarn;
  KVTOLL_TRY(r.original_max_position,
             k.count("rope.scaling.original_context_length", c.max_position));
  KVTOLL_TRY(r.factor, k.number("rope.scaling.factor", static_cast<double>(c.max_position) /
                                                           std::max(r.original_max_position, 1)));
  KVTOLL_TRY(r.beta_fast, k.number("rope.scaling.yarn_beta_fast", 32.0));
  KVTOLL_TRY(r.beta_slow, k.number("rope.scaling.yarn_beta_slow", 1.0));
  for (const auto& [name, neutral] : std::initializer_list<std::pair<const char*, double>>{
           {"rope.scaling.yarn_ext_factor", 1.0},
           {"rope.scaling.yarn_attn_factor", 1.0},
           {"rope.scaling.yarn_log_multiplier", 0.0}}) {
    KVTOLL_TRY(const double value, k.number(name, neutral));
    if (value != neutral)
      return input_error("{}: {} is {}, which is not supported", k.where(), k.key(name), value);
  }
  // attn_factor multiplies the factor that follows from YaRN's own rule.
  KVTOLL_TRY(const double extra, k.number("rope.scaling.attn_factor", 1.0));
  if (extra != 1.0) r.attention_factor = extra * (0.1 * std::log(std::max(r.factor, 1.0)) + 1.0);
  return {};
}

// Llama 3's scaling is stored as one divisor per rotated pair.
Result<void> read_freq_factors(const Keys& k, RopeConfig& r) {
  const GgufTensor* factors = k.file().find_tensor("rope_freqs.weight");
  if (factors == nullptr) return {};
  if (r.scaling != RopeScaling::kNone)
    return input_error("{}: rope_freqs.weight and rope.scaling together are not supported",
                       k.where());
  if (factors->type->id != 0 || factors->shape.rank != 1)
    return input_error("{}: rope_freqs.weight is not a vector of F32", k.where());
  r.scaling = RopeScaling::kFreqFactors;
  if (factors->blocks.empty()) return {};
  r.freq_factors.resize(factors->blocks.size() / sizeof(float));
  std::memcpy(r.freq_factors.data(), factors->blocks.data(), factors->blocks.size());
  const bool neutral =
      std::all_of(r.freq_factors.begin(), r.freq_factors.end(), [](float f) { return f == 1.0f; });
  if (neutral) r.scaling = RopeScaling::kNone;
  return {};
}

Result<void> read_rope(const Keys& k, ModelConfig& c) {
  KVTOLL_TRY(c.rope.theta, k.number("rope.freq_base", 10000.0));
  for (const char* name : {"rope.scale_linear", "rope.scale"}) {
    KVTOLL_TRY(const double linear, k.number(name, 1.0));
    if (linear != 1.0)
      return input_error("{}: {} is {}; linear rope scaling is not supported", k.where(),
                         k.key(name), linear);
  }
  for (const char* name : {"rope_factors_long.weight", "rope_factors_short.weight"})
    if (k.file().find_tensor(name) != nullptr)
      return input_error("{}: {}: LongRoPE is not supported", k.where(), name);
  std::string_view type = "none";
  if (k.contains("rope.scaling.type")) {
    KVTOLL_TRY(type, k.file().text(k.key("rope.scaling.type")));
  }
  if (type == "yarn") {
    KVTOLL_TRY_VOID(read_yarn(k, c, c.rope));
  } else if (type != "none") {
    return input_error("{}: rope scaling \"{}\" is not supported; none, yarn and Llama 3's are",
                       k.where(), type.substr(0, 80));
  }
  return read_freq_factors(k, c.rope);
}

Result<void> read_special_tokens(const GgufFile& file, ModelConfig& c) {
  const auto read = [&](const char* key) { return file.integer(key, -1); };
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                          "tokenizer.ggml.eom_token_id"}) {
    KVTOLL_TRY(const int64_t id, read(key));
    const bool known = std::count(c.eos_tokens.begin(), c.eos_tokens.end(), id) > 0;
    if (id >= 0 && id < c.vocab && !known) c.eos_tokens.push_back(static_cast<int>(id));
  }
  KVTOLL_TRY(const int64_t bos, read("tokenizer.ggml.bos_token_id"));
  if (bos >= 0 && bos < c.vocab) c.bos_token = static_cast<int>(bos);
  return {};
}

}  // namespace

Result<ModelConfig> gguf_config(const GgufFile& file) {
  KVTOLL_TRY(const std::string_view arch, file.text("general.architecture"));
  ModelConfig c;
  KVTOLL_TRY(c.family, read_family(file, arch));
  const Keys keys(file, arch);
  KVTOLL_TRY_VOID(refuse_unsupported(keys));
  KVTOLL_TRY_VOID(read_geometry(keys, c));
  KVTOLL_TRY_VOID(read_rope(keys, c));
  KVTOLL_TRY_VOID(validate(c, keys.where()));
  KVTOLL_TRY_VOID(read_special_tokens(file, c));
  return c;
}

}  // namespace kvtoll
