// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/summary.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "kvtoll/model/tokenizer.h"

namespace kvtoll {
namespace {

using nlohmann::ordered_json;

std::string chat_name(ChatFormat format) {
  switch (format) {
    case ChatFormat::kR1Distill:
      return "r1-distill";
    case ChatFormat::kChatMl:
      return "chatml";
    case ChatFormat::kLlama3:
      return "llama3";
  }
  return "?";
}

std::string rope_text(const RopeConfig& r) {
  std::string text = fmt::format("theta {:g}", r.theta);
  if (r.scaling == RopeScaling::kNone) return text;
  text += fmt::format(", scaling {}", rope_scaling_name(r.scaling));
  if (r.scaling == RopeScaling::kFreqFactors)
    return text + (r.freq_factors.empty() ? " (not in this file)" : "");
  text += fmt::format(", factor {:g}, original length {}", r.factor, r.original_max_position);
  if (r.scaling == RopeScaling::kLlama3)
    return text + fmt::format(", low {:g}, high {:g}", r.low_freq_factor, r.high_freq_factor);
  return text + fmt::format(", beta {:g} to {:g}", r.beta_fast, r.beta_slow);
}

std::string options_text(const ModelConfig& c) {
  std::vector<std::string_view> parts;
  if (c.qkv_bias) parts.push_back("q/k/v bias");
  if (c.o_bias) parts.push_back("o bias");
  if (c.mlp_bias) parts.push_back("ffn bias");
  if (c.qk_norm) parts.push_back("q/k norm");
  parts.push_back(c.tied_embeddings ? "tied embeddings" : "untied embeddings");
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string shown_bytes(Bytes bytes) {
  const auto value = static_cast<double>(bytes.value);
  if (value < 1e6) return fmt::format("{:.1f} KB", value / 1e3);
  return value < 1e9 ? fmt::format("{:.1f} MB", value / 1e6)
                     : fmt::format("{:.2f} GB", value / 1e9);
}

std::string stored_text(const ModelSummary& s) {
  if (s.stored.empty()) return s.weights_problem.empty() ? "made from the seed, fp16" : "none";
  int tensors = 0;
  std::vector<std::string> parts;
  for (const StoredType& type : s.stored) {
    tensors += type.tensors;
    parts.push_back(fmt::format("{} x {} ({})", type.tensors, type.name, shown_bytes(type.bytes)));
  }
  return fmt::format("{} tensors: {}", tensors, fmt::join(parts, ", "));
}

ordered_json rope_json(const RopeConfig& r) {
  ordered_json out = {{"theta", r.theta}, {"scaling", rope_scaling_name(r.scaling)}};
  if (r.scaling == RopeScaling::kLlama3 || r.scaling == RopeScaling::kYarn) {
    out["factor"] = r.factor;
    out["original_max_position"] = r.original_max_position;
  }
  return out;
}

ordered_json config_json(const ModelConfig& c) {
  return {{"name", c.name},
          {"family", family_name(c.family)},
          {"layers", c.layers},
          {"hidden", c.hidden},
          {"heads", c.heads},
          {"kv_heads", c.kv_heads},
          {"head_dim", c.head_dim},
          {"ffn", c.ffn},
          {"vocab", c.vocab},
          {"max_position", c.max_position},
          {"rms_eps", c.rms_eps},
          {"tied_embeddings", c.tied_embeddings},
          {"qkv_bias", c.qkv_bias},
          {"o_bias", c.o_bias},
          {"mlp_bias", c.mlp_bias},
          {"qk_norm", c.qk_norm},
          {"rope", rope_json(c.rope)},
          {"eos_tokens", c.eos_tokens},
          {"bos_token", c.bos_token},
          {"parameters", parameter_count(c)},
          {"weights_bytes_fp16", weight_bytes(c, DType::kF16).value},
          {"kv_bytes_per_token_fp16", kv_bytes_per_token(c, DType::kF16).value}};
}

std::string dumped(const ordered_json& value) {
  return value.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

void add_tokenizer(const std::string& spec, ModelSummary& s) {
  if (spec.starts_with("synthetic:")) {
    s.tokenizer_problem = "a synthetic model has none";
    return;
  }
  auto tokenizer = open_tokenizer(spec);
  if (!tokenizer) {
    s.tokenizer_problem = tokenizer.error().message;
    return;
  }
  s.vocab = (*tokenizer)->vocab_size();
  auto chat = recognize_chat_format((*tokenizer)->chat_template(), spec);
  if (chat)
    s.chat = *chat;
  else
    s.tokenizer_problem = chat.error().message;
}

}  // namespace

int64_t parameter_count(const ModelConfig& c) {
  int64_t sum = 0;
  for (WeightRole role : weight_roles(c, -1))
    if (role != WeightRole::kLmHead || !c.tied_embeddings) sum += weight_shape(c, role).elements();
  for (WeightRole role : weight_roles(c, 0)) sum += c.layers * weight_shape(c, role).elements();
  return sum;
}

Bytes weight_bytes(const ModelConfig& config, DType dtype) {
  return Bytes(parameter_count(config) * dtype_size(dtype));
}

Bytes kv_bytes_per_token(const ModelConfig& c, DType dtype) {
  return Bytes(int64_t{2} * c.layers * c.kv_width() * dtype_size(dtype));
}

Result<ModelSummary> summarize_model(const std::string& spec) {
  KVTOLL_TRY(const auto checkpoint, open_checkpoint(spec));
  ModelSummary s{.config = checkpoint->config(),
                 .source = checkpoint->source(),
                 .dtype = checkpoint->dtype(),
                 .weights_problem = checkpoint->weights_problem(),
                 .stored = checkpoint->stored_types()};
  add_tokenizer(spec, s);
  return s;
}

std::string summary_text(const ModelSummary& s) {
  const ModelConfig& c = s.config;
  std::string out;
  const auto row = [&out](std::string_view name, const std::string& value) {
    out += fmt::format("{:<14}{}\n", name, value);
  };
  row("model", c.name);
  row("source", s.source);
  row("family", std::string(family_name(c.family)));
  row("layers", fmt::format("{}, hidden {}, ffn {}", c.layers, c.hidden, c.ffn));
  row("heads", fmt::format("{} query, {} key/value, head_dim {}", c.heads, c.kv_heads, c.head_dim));
  row("vocabulary", fmt::format("{}", c.vocab));
  row("context", fmt::format("{}", c.max_position));
  row("rope", rope_text(c.rope));
  row("norm", fmt::format("RMS, epsilon {:g}", c.rms_eps));
  row("options", options_text(c));
  row("end tokens",
      c.eos_tokens.empty() ? "none" : fmt::format("{}", fmt::join(c.eos_tokens, ", ")));
  row("parameters", fmt::format("{}", parameter_count(c)));
  row("fp16 weights", shown_bytes(weight_bytes(c, DType::kF16)));
  row("fp16 KV", fmt::format("{} bytes per token", kv_bytes_per_token(c, DType::kF16).value));
  row("stored", stored_text(s));
  if (!s.weights_problem.empty()) row("no weights", s.weights_problem);
  row("tokenizer", s.vocab > 0 ? fmt::format("{} tokens", s.vocab) : s.tokenizer_problem);
  if (s.vocab > 0) row("chat format", s.chat ? chat_name(*s.chat) : s.tokenizer_problem);
  return out;
}

std::string summary_json(const ModelSummary& s) {
  ordered_json out = config_json(s.config);
  out["source"] = s.source;
  ordered_json stored = ordered_json::array();
  for (const StoredType& type : s.stored)
    stored.push_back({{"type", type.name}, {"tensors", type.tensors}, {"bytes", type.bytes.value}});
  out["weights"] = {{"present", s.weights_problem.empty()},
                    {"problem", s.weights_problem},
                    {"dtype", dtype_name(s.dtype)},
                    {"stored", stored}};
  out["tokenizer"] = {{"vocab", s.vocab},
                      {"chat_format", s.chat ? chat_name(*s.chat) : ""},
                      {"problem", s.tokenizer_problem}};
  return dumped(out);
}

std::string geometries_text() {
  std::string out = fmt::format("{:<31}{:<7}{:>7}{:>8}{:>10}{:>9}{:>16}{:>14}{:>16}\n",
                                "synthetic:", "family", "layers", "hidden", "q/kv", "head_dim",
                                "parameters", "fp16 weights", "fp16 KV/token");
  for (const ModelConfig& c : synthetic_geometries())
    out += fmt::format("{:<31}{:<7}{:>7}{:>8}{:>10}{:>9}{:>16}{:>14}{:>14} B\n", c.name,
                       family_name(c.family), c.layers, c.hidden,
                       fmt::format("{}/{}", c.heads, c.kv_heads), c.head_dim, parameter_count(c),
                       shown_bytes(weight_bytes(c, DType::kF16)),
                       kv_bytes_per_token(c, DType::kF16).value);
  return out;
}

std::string geometries_json() {
  ordered_json out = ordered_json::array();
  for (const ModelConfig& c : synthetic_geometries()) out.push_back(config_json(c));
  return dumped(out);
}

}  // namespace kvtoll
