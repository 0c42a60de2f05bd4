// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// On GGUF files made with the gguf package (tools/make_gguf_checkpoints.py), on files made here
// that lie, and on a real head where the shared data is there.
#include "kvtoll/model/gguf_checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "kvtoll/core/half.h"
#include "kvtoll/core/rng.h"
#include "kvtoll/core/safetensors.h"
#include "kvtoll/model/gguf.h"
#include "support/gguf_writer.h"

namespace kvtoll {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing_support::GgufWriter;

const fs::path kCheckpoints = KVTOLL_TEST_DATA "/checkpoints";

// Hugging Face's name of a matrix, as the golden file spells it.
std::string hf_name(WeightRole role, int layer) {
  const char* names[] = {"q", "k", "v"};
  switch (role) {
    case WeightRole::kEmbedding:
      return "model.embed_tokens.weight";
    case WeightRole::kLmHead:
      return "lm_head.weight";
    case WeightRole::kQ:
    case WeightRole::kK:
    case WeightRole::kV:
      return fmt::format("model.layers.{}.self_attn.{}_proj.weight", layer,
                         names[static_cast<int>(role) - static_cast<int>(WeightRole::kQ)]);
    case WeightRole::kO:
      return fmt::format("model.layers.{}.self_attn.o_proj.weight", layer);
    default:
      return fmt::format("model.layers.{}.mlp.{}_proj.weight", layer, weight_role_name(role));
  }
}

class GgufCheckpoints : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufCheckpoints, DecodeToTheReferencesRows) {
  const std::string name = GetParam();
  auto opened = open_checkpoint((kCheckpoints / (name + ".gguf")).string());
  ASSERT_TRUE(opened) << opened.error().message;
  const auto golden = *SafetensorsFile::open(kCheckpoints / (name + ".golden.safetensors"));
  const ModelConfig& c = (*opened)->config();
  int columns = 0;
  for (int layer = -1; layer < c.layers; ++layer)
    for (WeightRole role : weight_roles(c, layer)) {
      if (weight_shape(c, role).rank != 2 || (role == WeightRole::kLmHead && c.tied_embeddings))
        continue;
      SCOPED_TRACE(hf_name(role, layer));
      const TensorView want = *golden->tensor("column." + hf_name(role, layer));
      const HostTensor exact = *(*opened)->tensor(role, layer, DType::kF32);
      const HostTensor half = *(*opened)->tensor(role, layer, DType::kF16);
      ASSERT_EQ(exact.view.shape, weight_shape(c, role));
      ASSERT_EQ(exact.view.shape[0], want.shape[0]);
      const int64_t width = exact.view.shape[1];
      for (int64_t row = 0; row < want.shape[0]; ++row) {
        ASSERT_EQ(exact.view.at(row * width), want.at(row)) << row;
        const bool rounded = half.view.dtype == DType::kF16;  // F32 and BF16 come as stored
        ASSERT_EQ(half.view.at(row * width), rounded ? round_to_half(want.at(row)) : want.at(row));
      }
      ++columns;
    }
  EXPECT_EQ(columns, c.layers * 7 + (c.tied_embeddings ? 1 : 2));
  // The rotary table is the one of the model that was converted.
  const RopeTable rope = rope_table(c);
  const TensorView want = *golden->tensor("inv_freq");
  for (size_t i = 0; i < rope.inv_freq.size(); ++i)
    EXPECT_NEAR(rope.inv_freq[i], want.at(static_cast<int64_t>(i)), 1e-6 * rope.inv_freq[i]);
  EXPECT_FLOAT_EQ(rope.attention_factor, golden->tensor("attention_scaling")->at(0));
}
INSTANTIATE_TEST_SUITE_P(All, GgufCheckpoints,
                         ::testing::Values("gguf-llama-k", "gguf-qwen2-32", "gguf-qwen3-f16"));

// A llama file of 1 layer, hidden 32, 2 heads of 16, vocabulary 4; `skip` leaves a tensor out.
struct Lie {
  std::string arch = "llama", skip, extra;
  uint32_t type = 0;  // of attn_v
  float eps = 1e-5f;
};
GgufWriter tiny(const Lie& lie = {}) {
  GgufWriter w;
  w.text("general.architecture", lie.arch);
  for (const auto& [key, value] :
       std::initializer_list<std::pair<const char*, uint32_t>>{{"block_count", 1},
                                                               {"context_length", 64},
                                                               {"embedding_length", 32},
                                                               {"feed_forward_length", 32},
                                                               {"attention.head_count", 2}})
    w.u32(lie.arch + "." + key, value);
  w.f32(lie.arch + ".attention.layer_norm_rms_epsilon", lie.eps);
  const auto add = [&](const std::string& name, std::vector<uint64_t> dims, uint32_t type = 0) {
    if (name == lie.skip) return;
    uint64_t n = 1;
    for (uint64_t d : dims) n *= d;
    const GgufType& t = *find_gguf_type(type);
    std::string bytes(n / static_cast<uint64_t>(t.block) * static_cast<uint64_t>(t.block_bytes), 0);
    if (type == 2)  // Q4_0: d = 65504, code 15: 7 * 65504 does not fit fp16
      for (size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = i % 18 == 0 ? '\xff' : i % 18 == 1 ? '\x7b' : '\xff';
    w.tensor(name, type, dims, bytes);
  };
  add("token_embd.weight", {32, 4});
  add("output_norm.weight", {32});
  for (const char* name : {"attn_norm", "ffn_norm"})
    add(fmt::format("blk.0.{}.weight", name), {32});
  for (const char* name : {"attn_q", "attn_k", "attn_output", "ffn_gate", "ffn_up", "ffn_down"})
    add(fmt::format("blk.0.{}.weight", name), {32, 32});
  add("blk.0.attn_v.weight", {32, 32}, lie.type);
  if (!lie.extra.empty()) add(lie.extra, {32});
  return w;
}

class GgufLies : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = fs::temp_directory_path() / fmt::format("kvtoll-{}-{}.gguf", info->name(), ::getpid());
  }
  void TearDown() override { fs::remove(path_); }
  Result<std::shared_ptr<const Checkpoint>> open(const std::string& bytes) {
    fs::remove(path_);  // a truncated file would be flushed to the disk each time
    std::ofstream(path_, std::ios::binary) << bytes;
    return open_checkpoint(path_.string());
  }
  std::string refusal(const GgufWriter& w) {
    auto opened = open(w.bytes());
    if (opened) return "accepted";
    EXPECT_EQ(opened.error().exit_code(), 3);
    EXPECT_THAT(opened.error().message, HasSubstr(path_.string()));
    return opened.error().message;
  }
  template <class Edit>
  std::string refusal_with(const Edit& edit) {
    GgufWriter w = tiny();
    edit(w);
    return refusal(w);
  }
  fs::path path_;
};

TEST_F(GgufLies, TheHonestOneOpens) {
  auto opened = open(tiny().bytes());
  ASSERT_TRUE(opened) << opened.error().message;
  const ModelConfig& c = (*opened)->config();
  EXPECT_EQ(c.vocab, 4);
  EXPECT_EQ(c.head_dim, 16);
  EXPECT_EQ(c.kv_heads, 2);
  EXPECT_TRUE(c.tied_embeddings);
  EXPECT_EQ((*opened)->dtype(), DType::kF32);
  EXPECT_EQ((*opened)->stored_types().front().tensors, 11);
}

TEST_F(GgufLies, MissingUnknownAndMisshapenTensors) {
  EXPECT_THAT(refusal(tiny({.skip = "blk.0.ffn_up.weight"})),
              HasSubstr("no tensor blk.0.ffn_up.weight"));
  EXPECT_THAT(refusal(tiny({.skip = "token_embd.weight"})), HasSubstr("token_embd.weight"));
  EXPECT_THAT(refusal(tiny({.extra = "blk.0.ffn_gate_inp.weight"})), HasSubstr("has no place"));
  EXPECT_THAT(refusal(tiny({.extra = "output.weight"})), HasSubstr("output.weight has shape [32]"));
  EXPECT_THAT(refusal(tiny({.type = 6})), HasSubstr("has type Q5_0"));
  EXPECT_THAT(refusal(tiny({.arch = "qwen2"})), HasSubstr("no tensor blk.0.attn_q.bias"));
  EXPECT_THAT(refusal(tiny({.arch = "gemma3"})), HasSubstr("supported are llama"));
}

TEST_F(GgufLies, AbsurdMetadata) {
  EXPECT_THAT(refusal(tiny({.eps = std::nanf("")})), HasSubstr("rms_norm_eps is nan"));
  EXPECT_THAT(refusal(tiny({.eps = -1.0f})), HasSubstr("rms_norm_eps"));
  EXPECT_THAT(refusal_with([](auto& w) { w.f32("llama.rope.freq_base", INFINITY); }),
              HasSubstr("theta"));
  EXPECT_THAT(refusal_with([](auto& w) { w.u64("llama.attention.head_count_kv", 1ull << 40); }),
              HasSubstr("head_count_kv"));
  EXPECT_THAT(refusal_with([](auto& w) { w.u32("llama.attention.head_count_kv", 0); }),
              HasSubstr("kv_heads"));
  EXPECT_THAT(refusal_with([](auto& w) { w.u32("llama.rope.dimension_count", 8); }),
              HasSubstr("rope dimensions 8"));
  EXPECT_THAT(refusal_with([](auto& w) { w.u32("llama.expert_count", 8); }),
              HasSubstr("expert_count"));
  EXPECT_THAT(refusal_with([](auto& w) { w.u32("split.count", 3); }), HasSubstr("one of 3 parts"));
  EXPECT_THAT(refusal_with([](auto& w) { w.text("llama.rope.freq_base", "1e4"); }),
              HasSubstr("not a number"));
}

TEST_F(GgufLies, AnyOtherRopeScalingIsAnError) {
  for (const char* type : {"linear", "longrope", "dynamic", ""})
    EXPECT_THAT(refusal_with([&](auto& w) { w.text("llama.rope.scaling.type", type); }),
                HasSubstr("not supported"));
  EXPECT_THAT(refusal_with([](auto& w) { w.f32("llama.rope.scale_linear", 2.0f); }),
              HasSubstr("linear"));
  EXPECT_THAT(refusal_with([](auto& w) {
                w.text("llama.rope.scaling.type", "yarn");
                w.f32("llama.rope.scaling.yarn_ext_factor", 0.5f);
              }),
              HasSubstr("yarn_ext_factor"));
  EXPECT_THAT(refusal(tiny({.extra = "rope_factors_long.weight"})), HasSubstr("LongRoPE"));
  EXPECT_THAT(refusal(tiny({.extra = "rope_freqs.weight"})), HasSubstr("head_dim / 2 = 8"));
}

TEST_F(GgufLies, YarnIsRead) {
  GgufWriter w = tiny();
  w.text("llama.rope.scaling.type", "yarn");
  w.f32("llama.rope.scaling.factor", 4.0f);
  w.u32("llama.rope.scaling.original_context_length", 16);
  w.f32("llama.rope.scaling.attn_factor", 2.0f);
  const ModelConfig c = open(w.bytes()).value()->config();
  EXPECT_EQ(c.rope.scaling, RopeScaling::kYarn);
  EXPECT_EQ(c.rope.factor, 4.0);
  EXPECT_EQ(c.rope.original_max_position, 16);
  EXPECT_NEAR(c.rope.attention_factor, 2.0 * (0.1 * std::log(4.0) + 1.0), 1e-12);
}

TEST_F(GgufLies, ValuesThatDoNotFitHalfComeAsFloat) {
  auto opened = open(tiny({.type = 2}).bytes());
  ASSERT_TRUE(opened) << opened.error().message;
  const HostTensor v = *(*opened)->tensor(WeightRole::kV, 0, DType::kF16);
  EXPECT_EQ(v.view.dtype, DType::kF32);
  EXPECT_EQ(v.view.at(0), 7.0f * 65504.0f);
  EXPECT_EQ((*opened)->tensor(WeightRole::kV, 0, DType::kBF16)->view.dtype, DType::kBF16);
}

TEST_F(GgufLies, TruncatedWeightsAreRefusedByName) {
  const std::string whole = tiny().bytes();
  auto opened = open(whole.substr(0, whole.size() - 64));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_FALSE((*opened)->has_weights());
  auto required = require_weights(**opened);
  ASSERT_FALSE(required);
  EXPECT_EQ(required.error().exit_code(), 3);
  EXPECT_THAT(required.error().message, HasSubstr("fetch the whole file"));
  EXPECT_FALSE((*opened)->tensor(WeightRole::kEmbedding, -1));
}

// Any bytes in the header: an error, or a checkpoint whose tensors can all be read (run under
// ASan).
TEST_F(GgufLies, MutatedCheckpointsNeverCrash) {
  const std::string whole = tiny({.type = 8}).bytes();
  const size_t header = tiny({.type = 8}).header_bytes();
  Rng rng(20240609);
  int read = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = whole;
    for (uint64_t edits = 1 + rng.below(2); edits > 0; --edits)
      bytes[rng.below(header)] = static_cast<char>(rng.below(2) == 0 ? rng.below(256) : 0);
    auto opened = open(bytes);
    if (!opened || !(*opened)->has_weights()) continue;
    const ModelConfig& c = (*opened)->config();
    for (int layer = -1; layer < c.layers; ++layer)
      for (WeightRole role : weight_roles(c, layer))
        if (auto tensor = (*opened)->tensor(role, layer)) {
          const int64_t n = tensor->view.shape.elements();
          read += tensor->view.at(0) == tensor->view.at(n - 1) ? 1 : 2;
        }
    rope_table(c);
  }
  EXPECT_GT(read, 0);
}

TEST(GgufHead, TheRealHeadOpensWithoutWeights) {
  const fs::path head =
      fs::path(KVTOLL_SOURCE_DIR) / "../shared/data/deepseek-r1-distill-qwen-7b/header.gguf";
  if (!fs::exists(head)) GTEST_SKIP() << head << " is not here";
  auto opened = open_checkpoint(head.string());
  ASSERT_TRUE(opened) << opened.error().message;
  const ModelConfig& c = (*opened)->config();
  EXPECT_EQ(c.family, ModelFamily::kQwen2);
  EXPECT_EQ(c.layers, 28);
  EXPECT_EQ(c.kv_width(), 512);
  EXPECT_EQ(c.vocab, 152064);
  EXPECT_FALSE((*opened)->has_weights());
  EXPECT_EQ(require_weights(**opened).error().exit_code(), 3);
}

}  // namespace
}  // namespace kvtoll
