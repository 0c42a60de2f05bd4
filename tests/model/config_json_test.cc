// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/config_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace kvtoll {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

json qwen() {
  return json{{"model_type", "qwen2"},       {"num_hidden_layers", 28},
              {"hidden_size", 3584},         {"num_attention_heads", 28},
              {"num_key_value_heads", 4},    {"intermediate_size", 18944},
              {"vocab_size", 152064},        {"max_position_embeddings", 32768},
              {"rms_norm_eps", 1e-6},        {"rope_theta", 1000000.0},
              {"use_sliding_window", false}, {"sliding_window", 131072},
              {"max_window_layers", 28},     {"eos_token_id", 151645}};
}
json with(json base, const json& changes) {
  base.merge_patch(changes);
  return base;
}
ModelConfig parsed(const json& config, const std::string& generation = "") {
  auto result = parse_config_json(config.dump(), generation, "config.json");
  EXPECT_TRUE(result) << (result ? "" : result.error().message);
  return result ? *result : ModelConfig{};
}
std::string refusal(const std::string& text) {
  auto result = parse_config_json(text, "", "config.json");
  if (result) return "accepted";
  EXPECT_EQ(result.error().kind, ErrorKind::kInput);
  EXPECT_THAT(result.error().message, HasSubstr("config.json"));
  return result.error().message;
}
std::string refusal(const json& changes) { return refusal(with(qwen(), changes).dump()); }

TEST(ConfigJson, Qwen2) {
  const ModelConfig c = parsed(qwen());
  EXPECT_EQ(c.family, ModelFamily::kQwen2);
  EXPECT_EQ(c.head_dim, 128);
  EXPECT_EQ(c.gqa(), 7);
  EXPECT_TRUE(c.qkv_bias);
  EXPECT_FALSE(c.o_bias || c.mlp_bias || c.qk_norm || c.tied_embeddings);
  EXPECT_EQ(c.rope.theta, 1e6);
  EXPECT_EQ(c.rope.scaling, RopeScaling::kNone);
  EXPECT_THAT(c.eos_tokens, ElementsAre(151645));
}

TEST(ConfigJson, Qwen3HasItsOwnHeadDim) {
  const ModelConfig c = parsed(with(qwen(), {{"model_type", "qwen3"}, {"attention_bias", true}}));
  EXPECT_TRUE(c.qk_norm && c.qkv_bias && c.o_bias);
  EXPECT_EQ(c.head_dim, 128);  // Qwen3Config's default, not hidden / heads
  EXPECT_EQ(parsed(with(qwen(), {{"model_type", "qwen3"}, {"head_dim", 64}})).head_dim, 64);
}

TEST(ConfigJson, LlamaBiases) {
  const json llama = {{"model_type", "llama"}, {"num_key_value_heads", nullptr}};
  ModelConfig c = parsed(with(qwen(), llama));
  EXPECT_FALSE(c.qkv_bias || c.o_bias || c.mlp_bias);
  EXPECT_EQ(c.kv_heads, 28);
  c = parsed(with(with(qwen(), llama), {{"attention_bias", true}, {"mlp_bias", true}}));
  EXPECT_TRUE(c.qkv_bias && c.o_bias && c.mlp_bias);
}

TEST(ConfigJson, RopeInBothSpellings) {
  const json old = {{"rope_scaling",
                     {{"rope_type", "llama3"},
                      {"factor", 8.0},
                      {"low_freq_factor", 1.0},
                      {"high_freq_factor", 4.0},
                      {"original_max_position_embeddings", 8192}}}};
  const ModelConfig a = parsed(with(qwen(), old));
  EXPECT_EQ(a.rope.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(a.rope.theta, 1e6);
  EXPECT_EQ(a.rope.original_max_position, 8192);
  const json recent = {{"rope_theta", nullptr},
                       {"rope_parameters",
                        {{"rope_type", "yarn"},
                         {"rope_theta", 5e5},
                         {"factor", 4.0},
                         {"original_max_position_embeddings", 4096}}}};
  const ModelConfig b = parsed(with(qwen(), recent));
  EXPECT_EQ(b.rope.scaling, RopeScaling::kYarn);
  EXPECT_EQ(b.rope.theta, 5e5);
  EXPECT_EQ(b.rope.original_max_position, 4096);
  // Without the original length transformers takes max_position_embeddings.
  const json bare = {{"rope_scaling", {{"type", "yarn"}, {"factor", 2.0}}}};
  EXPECT_EQ(parsed(with(qwen(), bare)).rope.original_max_position, 32768);
}

TEST(ConfigJson, AnyOtherRopeScalingIsAnError) {
  for (const char* type : {"linear", "dynamic", "longrope", "su", "mrope", "proportional", ""})
    for (const char* key : {"rope_scaling", "rope_parameters"})
      for (const char* name : {"type", "rope_type"})
        EXPECT_THAT(refusal({{key, {{name, type}, {"factor", 2.0}}}}), HasSubstr("not supported"))
            << type;
  EXPECT_THAT(refusal({{"rope_parameters", {{"full_attention", {{"rope_theta", 1e4}}}}}}),
              HasSubstr("full_attention"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"type", "default"}, {"mrope_section", {1, 2}}}}}),
              HasSubstr("mrope_section"));
  EXPECT_THAT(refusal({{"rope_scaling", "yarn"}}), HasSubstr("not an object"));
  EXPECT_THAT(refusal({{"partial_rotary_factor", 0.5}}), HasSubstr("partial_rotary_factor"));
}

TEST(ConfigJson, SlidingWindowInUseIsAnError) {
  EXPECT_THAT(refusal({{"use_sliding_window", true}, {"max_window_layers", 21}}),
              HasSubstr("layers 21 to 27"));
  EXPECT_THAT(refusal({{"layer_types", {"full_attention", "sliding_attention"}}}),
              HasSubstr("sliding_attention"));
  parsed(with(qwen(), {{"use_sliding_window", true}, {"max_window_layers", 28}}));
  parsed(with(qwen(), {{"use_sliding_window", true}, {"sliding_window", nullptr}}));
}

TEST(ConfigJson, EosFromGenerationConfig) {
  EXPECT_THAT(parsed(qwen(), R"({"eos_token_id":[151645,151643]})").eos_tokens,
              ElementsAre(151645, 151643));
  EXPECT_THAT(parsed(qwen(), R"({"temperature":0.6})").eos_tokens, ElementsAre(151645));
  EXPECT_THAT(parsed(with(qwen(), {{"eos_token_id", {7, 999999999}}})).eos_tokens, ElementsAre(7));
  EXPECT_THAT(parsed(with(qwen(), {{"eos_token_id", nullptr}})).eos_tokens, IsEmpty());
  EXPECT_THAT(refusal({{"eos_token_id", "<|im_end|>"}}), HasSubstr("token id"));
}

TEST(ConfigJson, AbsurdValues) {
  for (const char* key :
       {"num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads",
        "intermediate_size", "vocab_size", "head_dim", "max_position_embeddings"}) {
    SCOPED_TRACE(key);
    EXPECT_NE(refusal({{key, 0}}), "accepted");
    EXPECT_NE(refusal({{key, -4}}), "accepted");
    EXPECT_NE(refusal({{key, 2.5}}), "accepted");
    EXPECT_NE(refusal({{key, 1e300}}), "accepted");
    EXPECT_NE(refusal({{key, 4000000000}}), "accepted");
    EXPECT_THAT(refusal({{key, "28"}}), HasSubstr(key));
  }
  EXPECT_THAT(refusal({{"num_hidden_layers", nullptr}}), HasSubstr("missing"));
  EXPECT_THAT(refusal({{"num_key_value_heads", 3}}), HasSubstr("do not divide"));
  EXPECT_THAT(refusal({{"head_dim", 127}}), HasSubstr("odd"));
  EXPECT_THAT(refusal({{"rms_norm_eps", 0}}), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(refusal({{"rope_theta", -1.0}}), HasSubstr("theta"));
  EXPECT_THAT(refusal({{"rope_theta", 0}}), HasSubstr("theta"));
  EXPECT_THAT(refusal({{"hidden_act", "gelu"}}), HasSubstr("gelu"));
  EXPECT_THAT(refusal({{"model_type", "mixtral"}}), HasSubstr("supported are llama"));
  EXPECT_THAT(refusal({{"quantization_config", {{"bits", 4}}}}), HasSubstr("quantized"));
  EXPECT_THAT(refusal({{"tie_word_embeddings", 1}}), HasSubstr("true or false"));
}

TEST(ConfigJson, AbsurdRopeValues) {
  const auto yarn = [](const json& more) {
    return json{{"rope_scaling", with({{"type", "yarn"}, {"factor", 4.0}}, more)}};
  };
  EXPECT_THAT(refusal(yarn({{"factor", 0.5}})), HasSubstr("factor"));
  EXPECT_THAT(refusal(yarn({{"factor", 1e300}})), HasSubstr("factor"));
  EXPECT_THAT(refusal(yarn({{"original_max_position_embeddings", 0}})), HasSubstr("original"));
  EXPECT_THAT(refusal(yarn({{"beta_fast", 0.5}})), HasSubstr("beta_fast"));
  EXPECT_THAT(refusal(yarn({{"beta_slow", -1}})), HasSubstr("beta_slow"));
  EXPECT_THAT(refusal(yarn({{"attention_factor", -1}})), HasSubstr("attention_factor"));
  EXPECT_THAT(refusal({{"rope_scaling", {{"type", "llama3"}, {"factor", 8.0}}}}),
              HasSubstr("low_freq_factor is missing"));
  EXPECT_THAT(refusal({{"rope_scaling",
                        {{"type", "llama3"},
                         {"factor", 8.0},
                         {"low_freq_factor", 4},
                         {"high_freq_factor", 4}}}}),
              HasSubstr("below high_freq_factor"));
}

// Python's json module writes NaN and Infinity; they are not JSON and nowhere welcome.
TEST(ConfigJson, NotANumberAndBrokenJson) {
  const std::string text = qwen().dump();
  const auto replaced = [&text](const std::string& value) {
    std::string out = text;
    const std::string old = "\"rms_norm_eps\":1e-06";
    return out.replace(out.find(old), old.size(), "\"rms_norm_eps\":" + value);
  };
  for (const char* value : {"NaN", "Infinity", "-Infinity", "1e999", "nan"})
    EXPECT_THAT(refusal(replaced(value)), HasSubstr("not valid JSON")) << value;
  for (size_t n = 0; n < text.size(); ++n) EXPECT_NE(refusal(text.substr(0, n)), "accepted") << n;
  EXPECT_THAT(refusal(std::string("[]")), HasSubstr("not a JSON object"));
}

}  // namespace
}  // namespace kvtoll
