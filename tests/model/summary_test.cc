// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace kvtoll {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kCheckpoints = KVTOLL_TEST_DATA "/checkpoints/";

TEST(Summary, SizesOfAPublishedModel) {
  const auto checkpoint = open_checkpoint("synthetic:qwen2.5-7b").value();
  const ModelConfig& c = checkpoint->config();
  EXPECT_EQ(parameter_count(c), 7615616512);
  EXPECT_EQ(weight_bytes(c, DType::kF16).value, 2 * 7615616512);
  EXPECT_EQ(kv_bytes_per_token(c, DType::kF16).value, 57344);  // 2 x 28 x 4 x 128 x 2
}

TEST(Summary, GgufTypesAndCounts) {
  auto summary = summarize_model(kCheckpoints + "gguf-qwen2-32.gguf");
  ASSERT_TRUE(summary) << summary.error().message;
  const json out = json::parse(summary_json(*summary));
  EXPECT_EQ(out["family"], "qwen2");
  EXPECT_EQ(out["rope"]["scaling"], "yarn");
  EXPECT_EQ(out["weights"]["present"], true);
  int tensors = 0;
  for (const json& type : out["weights"]["stored"]) tensors += type["tensors"].get<int>();
  EXPECT_EQ(tensors, 2 + 2 * 12);
  EXPECT_THAT(summary_text(*summary), HasSubstr("Q8_0"));
}

TEST(Summary, FolderWithoutTokenizer) {
  auto summary = summarize_model(kCheckpoints + "llama3-rope");
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_EQ(summary->vocab, 0);
  EXPECT_THAT(summary->tokenizer_problem, HasSubstr("tokenizer"));
  EXPECT_THAT(summary_text(*summary), HasSubstr("llama3, factor 8"));
}

TEST(Summary, Geometries) {
  const json out = json::parse(geometries_json());
  EXPECT_EQ(out.size(), synthetic_geometries().size());
  for (const ModelConfig& c : synthetic_geometries())
    EXPECT_THAT(geometries_text(), HasSubstr(c.name));
}

TEST(Summary, UnusableModels) {
  EXPECT_EQ(summarize_model("/no/such").error().exit_code(), 3);
  EXPECT_EQ(summarize_model("synthetic:nothing").error().exit_code(), 3);
}

}  // namespace
}  // namespace kvtoll
