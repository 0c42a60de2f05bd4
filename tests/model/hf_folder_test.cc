// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// On the small checkpoints that transformers wrote (tools/make_checkpoints.py), and on copies of
// them that are broken in one place.
#include "kvtoll/model/hf_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kvtoll/core/files.h"
#include "kvtoll/core/rng.h"
#include "kvtoll/core/safetensors.h"

namespace kvtoll {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const fs::path kCheckpoints = KVTOLL_TEST_DATA "/checkpoints";

class HfFolderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / fmt::format("kvtoll-{}-{}", info->name(), ::getpid());
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void copy(const std::string& name) {
    fs::copy(kCheckpoints / name, folder_, fs::copy_options::recursive);
  }
  void edit_json(const std::string& file, const json& changes) {
    json value = json::parse(std::ifstream(folder_ / file));
    value.merge_patch(changes);
    std::ofstream(folder_ / file) << value;
  }
  std::string refusal() {
    auto opened = open_checkpoint(folder_.string());
    if (opened) return "accepted";
    EXPECT_EQ(opened.error().kind, ErrorKind::kInput);
    EXPECT_THAT(opened.error().message, HasSubstr(folder_.string()));
    return opened.error().message;
  }
  fs::path folder_;
};

TEST_F(HfFolderTest, OpensEveryCheckpoint) {
  int count = 0;
  for (const auto& entry : fs::directory_iterator(kCheckpoints)) {
    if (!entry.is_directory()) continue;
    ++count;
    SCOPED_TRACE(entry.path().string());
    auto opened = open_checkpoint(entry.path().string());
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ((*opened)->config().name, entry.path().filename());
    EXPECT_TRUE((*opened)->has_weights());
    EXPECT_TRUE(require_weights(**opened));
  }
  EXPECT_EQ(count, 7);
}

TEST_F(HfFolderTest, ReadsTheStoredValues) {
  const auto checkpoint = *open_checkpoint((kCheckpoints / "qwen2-untied-fp16-sharded").string());
  EXPECT_EQ(checkpoint->dtype(), DType::kF16);
  std::map<std::string, std::shared_ptr<const SafetensorsFile>> files;
  const json index = json::parse(
      std::ifstream(kCheckpoints / "qwen2-untied-fp16-sharded" / "model.safetensors.index.json"));
  const std::tuple<WeightRole, int, const char*> cases[] = {
      {WeightRole::kEmbedding, -1, "model.embed_tokens.weight"},
      {WeightRole::kLmHead, -1, "lm_head.weight"},
      {WeightRole::kKBias, 1, "model.layers.1.self_attn.k_proj.bias"},
      {WeightRole::kDown, 0, "model.layers.0.mlp.down_proj.weight"},
      {WeightRole::kFfnNorm, 1, "model.layers.1.post_attention_layernorm.weight"},
  };
  for (const auto& [role, layer, name] : cases) {
    const auto file = *SafetensorsFile::open(kCheckpoints / "qwen2-untied-fp16-sharded" /
                                             index["weight_map"][name].get<std::string>());
    const TensorView want = *file->tensor(name), got = checkpoint->tensor(role, layer)->view;
    ASSERT_EQ(got.shape, want.shape) << name;
    for (int64_t i = 0; i < want.shape.elements(); ++i) ASSERT_EQ(got.at(i), want.at(i)) << name;
  }
}

TEST_F(HfFolderTest, TiedHeadIsTheEmbedding) {
  const auto checkpoint = *open_checkpoint((kCheckpoints / "qwen2-bf16").string());
  EXPECT_TRUE(checkpoint->config().tied_embeddings);
  EXPECT_EQ(checkpoint->dtype(), DType::kBF16);
  EXPECT_EQ(checkpoint->tensor(WeightRole::kLmHead, -1)->view.data,
            checkpoint->tensor(WeightRole::kEmbedding, -1)->view.data);
}

TEST_F(HfFolderTest, EosIdsOfGenerationConfig) {
  const auto checkpoint = *open_checkpoint((kCheckpoints / "llama3-rope").string());
  EXPECT_THAT(checkpoint->config().eos_tokens, ElementsAre(62, 63));
}

TEST_F(HfFolderTest, ConfigWithoutWeightsOpens) {
  copy("qwen2-bf16");
  fs::remove(folder_ / "model.safetensors");
  auto opened = open_checkpoint(folder_.string());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_FALSE((*opened)->has_weights());
  auto required = require_weights(**opened);
  ASSERT_FALSE(required);
  EXPECT_EQ(required.error().exit_code(), 3);
  EXPECT_THAT(required.error().message, HasSubstr("no *.safetensors"));
  EXPECT_FALSE((*opened)->tensor(WeightRole::kQ, 0));
}

TEST_F(HfFolderTest, MissingShard) {
  copy("qwen2-untied-fp16-sharded");
  fs::remove(folder_ / "model-00002-of-00003.safetensors");
  EXPECT_THAT(refusal(), HasSubstr("model-00002-of-00003.safetensors"));
}

TEST_F(HfFolderTest, TruncatedShard) {
  copy("qwen2-untied-fp16-sharded");
  fs::resize_file(folder_ / "model-00002-of-00003.safetensors", 20000);
  EXPECT_THAT(refusal(), HasSubstr("truncated"));
}

TEST_F(HfFolderTest, BrokenIndex) {
  copy("qwen2-untied-fp16-sharded");
  std::ofstream(folder_ / "model.safetensors.index.json") << R"({"weight_map":{"a":"../x"}})";
  EXPECT_THAT(refusal(), HasSubstr("not a name"));
  std::ofstream(folder_ / "model.safetensors.index.json") << "{";
  EXPECT_THAT(refusal(), HasSubstr("not a safetensors index"));
}

TEST_F(HfFolderTest, MissingTensorAndWrongShape) {
  copy("qwen2-bf16");
  edit_json("config.json", {{"tie_word_embeddings", false}});
  EXPECT_THAT(refusal(), HasSubstr("no tensor lm_head.weight"));
  edit_json("config.json", {{"tie_word_embeddings", true}, {"intermediate_size", 57}});
  EXPECT_THAT(refusal(),
              HasSubstr("gate_proj.weight has shape [56, 32], config.json asks for [57"));
  edit_json("config.json", {{"intermediate_size", 56}, {"num_hidden_layers", 3}});
  EXPECT_THAT(refusal(), HasSubstr("model.layers.2.input_layernorm.weight"));
}

TEST_F(HfFolderTest, WrongDtype) {
  copy("qwen2-bf16");
  const auto file = *SafetensorsFile::open(kCheckpoints / "qwen2-bf16" / "model.safetensors");
  std::vector<NamedTensor> tensors;
  for (const auto& [name, entry] : file->entries()) {
    TensorView view = *file->tensor(name);
    if (name == "model.norm.weight") view.dtype = DType::kI16;
    tensors.push_back({name, view});
  }
  ASSERT_TRUE(write_safetensors(folder_ / "model.safetensors", tensors));
  EXPECT_THAT(refusal(), HasSubstr("model.norm.weight has dtype int16"));
}

// Any bytes in config.json: an error, or a checkpoint whose tensors can all be read.
TEST_F(HfFolderTest, MutatedConfigsNeverCrash) {
  copy("llama3-rope");
  const std::string whole = *read_file(folder_ / "config.json");
  Rng rng(20240610);
  int opened_count = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = whole;
    static constexpr std::string_view kAlphabet = "0123456789-.eE\"{}[],:tfn \xff";
    for (uint64_t edits = 1 + rng.below(2); edits > 0; --edits)
      bytes[rng.below(bytes.size())] = kAlphabet[rng.below(kAlphabet.size())];
    fs::remove(folder_ / "config.json");
    std::ofstream(folder_ / "config.json") << bytes;
    auto opened = open_checkpoint(folder_.string());
    if (!opened) {
      EXPECT_EQ(opened.error().kind, ErrorKind::kInput);
      continue;
    }
    ++opened_count;
    const RopeTable rope = rope_table((*opened)->config());
    for (float f : rope.inv_freq) ASSERT_TRUE(std::isfinite(f)) << bytes;
  }
  EXPECT_GT(opened_count, 0);
}

TEST_F(HfFolderTest, NoConfig) {
  fs::create_directories(folder_);
  EXPECT_THAT(refusal(), HasSubstr("no config.json"));
}

}  // namespace
}  // namespace kvtoll
