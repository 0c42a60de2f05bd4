// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/config_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

namespace kvtoll {
namespace {

using nlohmann::json;

Result<json> parse_object(std::string_view text, const std::string& where) {
  try {
    json value = json::parse(text);
    if (value.is_object()) return value;
    return input_error("{}: not a JSON object", where);
  } catch (const json::exception& error) {
    return input_error("{}: not valid JSON: {}", where, error.what());
  }
}

// Typed access to one object; absent and null are the same, as in transformers.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {}

  const json* find(const char* key) const {
    const auto it = object_.find(key);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  Result<double> number(const char* key, std::optional<double> fallback) const {
    const json* value = find(key);
    if (value == nullptr) return missing_or(key, fallback);
    if (!value->is_number())
      return input_error("{}: {} is {}, must be a number", where_, key, shown(*value));
    return value->get<double>();
  }
  Result<int> integer(const char* key, std::optional<int> fallback) const {
    const json* value = find(key);
    if (value == nullptr) return missing_or(key, fallback);
    const bool whole = value->is_number() && std::abs(value->get<double>()) <= 1e9 &&
                       value->get<double>() == std::floor(value->get<double>());
    if (!whole)
      return input_error("{}: {} is {}, must be a whole number", where_, key, shown(*value));
    return static_cast<int>(value->get<double>());
  }
  Result<bool> boolean(const char* key, bool fallback) const {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean())
      return input_error("{}: {} is {}, must be true or false", where_, key, shown(*value));
    return value->get<bool>();
  }
  Result<std::string> text(const char* key, std::optional<std::string> fallback) const {
    const json* value = find(key);
    if (value == nullptr) return missing_or(key, fallback);
    if (!value->is_string())
      return input_error("{}: {} is {}, must be a string", where_, key, shown(*value));
    return value->get<std::string>();
  }
  const std::string& where() const { return where_; }

  static std::string shown(const json& value) {
    const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
    return text.size() <= 80 ? text : text.substr(0, 80) + "...";
  }

 private:
  template <class T>
  Result<T> missing_or(const char* key, const std::optional<T>& fallback) const {
    if (fallback) return *fallback;
    return input_error("{}: {} is missing", where_, key);
  }
  const json& object_;
  std::string where_;
};

Result<ModelFamily> read_family(const Fields& f) {
  KVTOLL_TRY(const std::string type, f.text("model_type", ""));
  if (type == "llama") return ModelFamily::kLlama;
  if (type == "qwen2") return ModelFamily::kQwen2;
  if (type == "qwen3") return ModelFamily::kQwen3;
  if (type.empty()) {
    const json* architectures = f.find("architectures");
    const std::string text = architectures != nullptr ? architectures->dump() : "";
    if (text == R"(["LlamaForCausalLM"])") return ModelFamily::kLlama;
    if (text == R"(["Qwen2ForCausalLM"])") return ModelFamily::kQwen2;
    if (text == R"(["Qwen3ForCausalLM"])") return ModelFamily::kQwen3;
  }
  return input_error("{}: model_type is \"{}\"; supported are llama, qwen2 and qwen3", f.where(),
                     type);
}

Result<void> read_geometry(const Fields& f, ModelConfig& c) {
  const bool llama = c.family == ModelFamily::kLlama;
  KVTOLL_TRY(c.layers, f.integer("num_hidden_layers", {}));
  KVTOLL_TRY(c.hidden, f.integer("hidden_size", {}));
  KVTOLL_TRY(c.heads, f.integer("num_attention_heads", {}));
  KVTOLL_TRY(c.ffn, f.integer("intermediate_size", {}));
  KVTOLL_TRY(c.vocab, f.integer("vocab_size", {}));
  KVTOLL_TRY(c.kv_heads, f.integer("num_key_value_heads", c.heads));
  int derived = c.heads > 0 ? c.hidden / c.heads : 0;
  if (c.family == ModelFamily::kQwen3) derived = 128;  // Qwen3Config's default
  KVTOLL_TRY(c.head_dim, f.integer("head_dim", derived));
  KVTOLL_TRY(c.max_position, f.integer("max_position_embeddings", llama ? 2048 : 32768));
  KVTOLL_TRY(c.rms_eps, f.number("rms_norm_eps", 1e-6));
  KVTOLL_TRY(c.tied_embeddings, f.boolean("tie_word_embeddings", false));
  c.qk_norm = c.family == ModelFamily::kQwen3;
  KVTOLL_TRY(const bool attention_bias, f.boolean("attention_bias", false));
  KVTOLL_TRY(const bool mlp_bias, f.boolean("mlp_bias", false));
  // Qwen2 has q, k, v biases and no others, whatever its config says.
  c.qkv_bias = c.family == ModelFamily::kQwen2 || attention_bias;
  c.o_bias = c.family != ModelFamily::kQwen2 && attention_bias;
  c.mlp_bias = llama && mlp_bias;
  return {};
}

// What would make our network another one than the checkpoint's.
Result<void> refuse_unsupported(const Fields& f, const ModelConfig& c) {
  KVTOLL_TRY(const std::string activation, f.text("hidden_act", "silu"));
  if (activation != "silu" && activation != "swish")
    return input_error("{}: hidden_act \"{}\" is not supported, only silu", f.where(), activation);
  if (f.find("quantization_config") != nullptr)
    return input_error(
        "{}: its weights are quantized (quantization_config); use the fp16 or bf16 checkpoint, or "
        "a GGUF file",
        f.where());
  KVTOLL_TRY(const double rotated, f.number("partial_rotary_factor", 1.0));
  if (rotated != 1.0)
    return input_error("{}: partial_rotary_factor {} is not supported", f.where(), rotated);
  if (c.family == ModelFamily::kLlama) return {};  // LlamaForCausalLM knows no sliding window
  if (const json* types = f.find("layer_types")) {
    for (const json& type : *types)
      if (type != "full_attention")
        return input_error("{}: layer_types has {}; only full_attention is supported", f.where(),
                           Fields::shown(type));
    return {};
  }
  KVTOLL_TRY(const bool window, f.boolean("use_sliding_window", false));
  KVTOLL_TRY(const int full_layers, f.integer("max_window_layers", 28));
  if (window && f.find("sliding_window") != nullptr && full_layers < c.layers)
    return input_error(
        "{}: layers {} to {} use a sliding window (use_sliding_window), which is not supported",
        f.where(), full_layers, c.layers - 1);
  return {};
}

// attention_factor of YaRN from mscale and mscale_all_dim, where both are given.
double yarn_mscale_ratio(double factor, double mscale, double mscale_all_dim) {
  const auto scale = [factor](double m) {
    return factor <= 1.0 ? 1.0 : 0.1 * m * std::log(factor) + 1.0;
  };
  return scale(mscale) / scale(mscale_all_dim);
}

Result<void> read_yarn(const Fields& f, const ModelConfig& c, RopeConfig& r) {
  KVTOLL_TRY(r.factor, f.number("factor", static_cast<double>(c.max_position) /
                                              std::max(r.original_max_position, 1)));
  KVTOLL_TRY(const double fast, f.number("beta_fast", 32.0));
  KVTOLL_TRY(const double slow, f.number("beta_slow", 1.0));
  r.beta_fast = fast != 0.0 ? fast : 32.0;  // transformers: `or`, so zero is the default too
  r.beta_slow = slow != 0.0 ? slow : 1.0;
  KVTOLL_TRY(r.yarn_truncate, f.boolean("truncate", true));
  KVTOLL_TRY(const double mscale, f.number("mscale", 0.0));
  KVTOLL_TRY(const double mscale_all_dim, f.number("mscale_all_dim", 0.0));
  if (mscale != 0.0 && mscale_all_dim != 0.0)
    r.attention_factor = yarn_mscale_ratio(r.factor, mscale, mscale_all_dim);
  if (f.find("attention_factor") != nullptr) {
    KVTOLL_TRY(r.attention_factor, f.number("attention_factor", {}));
    if (!(r.attention_factor > 0.0))
      return input_error("{}: attention_factor is {}, must be above 0", f.where(),
                         r.attention_factor);
  }
  return {};
}

Result<void> read_llama3(const Fields& f, RopeConfig& r) {
  KVTOLL_TRY(r.factor, f.number("factor", {}));
  KVTOLL_TRY(r.low_freq_factor, f.number("low_freq_factor", {}));
  KVTOLL_TRY(r.high_freq_factor, f.number("high_freq_factor", {}));
  return {};
}

// transformers 5 writes rope_parameters, older ones rope_theta and rope_scaling; rope_scaling wins.
Result<void> read_rope(const Fields& f, ModelConfig& c) {
  RopeConfig& r = c.rope;
  const json* parameters = f.find("rope_scaling");
  const char* key = "rope_scaling";
  if (parameters == nullptr || parameters->empty()) {
    parameters = f.find("rope_parameters");
    key = "rope_parameters";
  }
  KVTOLL_TRY(const double theta, f.number("rope_theta", 10000.0));
  const json none = json::object();
  const Fields rope(parameters != nullptr ? *parameters : none, f.where() + ": " + key);
  if (parameters != nullptr && !parameters->is_object())
    return input_error("{}: {} is not an object", f.where(), key);
  KVTOLL_TRY(r.theta, rope.number("rope_theta", theta));
  KVTOLL_TRY(const double rotated, rope.number("partial_rotary_factor", 1.0));
  if (rotated != 1.0)
    return input_error("{}: partial_rotary_factor {} is not supported", rope.where(), rotated);
  KVTOLL_TRY(const std::string old_type, rope.text("type", "default"));
  KVTOLL_TRY(const std::string type, rope.text("rope_type", old_type));
  if (type == "default") {
    for (const auto& [name, value] : (parameters != nullptr ? *parameters : none).items())
      if (value.is_object() || value.is_array())
        return input_error("{}: {} is not supported", rope.where(), name);
    return {};
  }
  if (type != "llama3" && type != "yarn")
    return input_error("{}: rope scaling \"{}\" is not supported; default, llama3 and yarn are",
                       rope.where(), type);
  KVTOLL_TRY(const int inner, rope.integer("original_max_position_embeddings", c.max_position));
  KVTOLL_TRY(r.original_max_position, f.integer("original_max_position_embeddings", inner));
  r.scaling = type == "yarn" ? RopeScaling::kYarn : RopeScaling::kLlama3;
  return type == "yarn" ? read_yarn(rope, c, r) : read_llama3(rope, r);
}

// An id or a list of ids. Ids beyond the vocabulary can never be generated and are dropped.
Result<std::vector<int>> read_ids(const Fields& f, const char* key, int vocab) {
  std::vector<int> ids;
  const json* value = f.find(key);
  if (value == nullptr) return ids;
  for (const json& id : value->is_array() ? *value : json::array({*value})) {
    if (!id.is_number_integer())
      return input_error("{}: {} is {}, must be a token id or a list of them", f.where(), key,
                         Fields::shown(*value));
    if (id >= 0 && id < vocab) ids.push_back(id.get<int>());
  }
  return ids;
}

Result<void> read_special_tokens(const Fields& f, std::string_view generation, ModelConfig& c) {
  KVTOLL_TRY(c.eos_tokens, read_ids(f, "eos_token_id", c.vocab));
  KVTOLL_TRY(const auto bos, read_ids(f, "bos_token_id", c.vocab));
  if (!bos.empty()) c.bos_token = bos.front();
  if (generation.empty()) return {};
  const std::string where = f.where() + " (generation_config.json)";
  KVTOLL_TRY(const json object, parse_object(generation, where));
  KVTOLL_TRY(const auto eos, read_ids(Fields(object, where), "eos_token_id", c.vocab));
  if (!eos.empty()) c.eos_tokens = eos;
  return {};
}

}  // namespace

Result<ModelConfig> parse_config_json(std::string_view config, std::string_view generation_config,
                                      const std::string& where) {
  KVTOLL_TRY(const json object, parse_object(config, where));
  const Fields fields(object, where);
  ModelConfig c;
  KVTOLL_TRY(c.family, read_family(fields));
  KVTOLL_TRY_VOID(read_geometry(fields, c));
  KVTOLL_TRY_VOID(refuse_unsupported(fields, c));
  KVTOLL_TRY_VOID(read_rope(fields, c));
  KVTOLL_TRY_VOID(validate(c, where));
  KVTOLL_TRY_VOID(read_special_tokens(fields, generation_config, c));
  return c;
}

}  // namespace kvtoll
