// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Files that are broken, lie or ask for what we do not have.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "kvtoll/model/tokenizer.h"

namespace kvtoll {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

class TokenizerJson : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "kvtoll_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    std::ifstream file(std::string(KVTOLL_TEST_DATA) + "/tokenizer/qwen2/tokenizer.json");
    good_ = Json::parse(file);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  Result<std::shared_ptr<const Tokenizer>> open(const Json& root) {
    write("tokenizer.json", root.dump());
    return open_tokenizer(folder_.string());
  }
  // The message of the error that a change to a good file leads to.
  std::string refusal(const std::function<void(Json&)>& change) {
    Json root = good_;
    change(root);
    const auto result = open(root);
    if (result) return "accepted";
    EXPECT_EQ(result.error().kind, ErrorKind::kInput);
    EXPECT_THAT(result.error().message, HasSubstr((folder_ / "tokenizer.json").string()));
    return result.error().message;
  }

  std::filesystem::path folder_;
  Json good_;
};

TEST_F(TokenizerJson, NotEvenJson) {
  EXPECT_THAT(open_tokenizer(folder_.string()).error().message, HasSubstr("missing"));
  for (const std::string text :
       {"", "{", "[]", "null", "{\"model\": 3}", "{\"model\":{\"type\":\"BPE\"}}", "\"\\ud800\"",
        "{\"a\":\"\xFF\"}"}) {
    write("tokenizer.json", text);
    const auto result = open_tokenizer(folder_.string());
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind, ErrorKind::kInput);
    EXPECT_THAT(result.error().message, HasSubstr("tokenizer.json"));
  }
  write("tokenizer.json", std::string(200000, '['));
  EXPECT_FALSE(open_tokenizer(folder_.string()));
  std::filesystem::resize_file(folder_ / "tokenizer.json", uintmax_t{1} << 40);  // sparse
  EXPECT_THAT(open_tokenizer(folder_.string()).error().message, HasSubstr("1099511627776 bytes"));
}

TEST_F(TokenizerJson, EveryCutIsAnError) {
  const std::string text = good_.dump();
  for (size_t length = 0; length < text.size(); length += 97) {
    write("tokenizer.json", text.substr(0, length));
    ASSERT_FALSE(open_tokenizer(folder_.string())) << length;
  }
}

TEST_F(TokenizerJson, BrokenVocabulary) {
  const auto vocab = [](Json& j) -> Json& { return j["model"]["vocab"]; };
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["new"] = 7; }), HasSubstr("both have the id 7"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["new"] = 100000; }), HasSubstr("holes"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["new"] = -1; }), HasSubstr("below 0"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["new"] = "7"; }), HasSubstr("not an integer"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j)["new"] = 1.5; }), HasSubstr("not an integer"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j).erase("!"); }), HasSubstr("id 0"));
  EXPECT_THAT(refusal([&](Json& j) { vocab(j) = Json::array(); }), HasSubstr("model.vocab"));
}

TEST_F(TokenizerJson, BrokenMerges) {
  const auto merges = [](Json& j) -> Json& { return j["model"]["merges"]; };
  EXPECT_THAT(refusal([&](Json& j) { merges(j)[3] = {"a", "\u4e2d"}; }), HasSubstr("merge 3"));
  EXPECT_THAT(refusal([&](Json& j) {
                merges(j)[3] = {"!", "!"};
              }),
              HasSubstr("'!!' is not a token"));
  EXPECT_THAT(refusal([&](Json& j) { merges(j)[3] = "ab"; }), HasSubstr("merges[3]"));
  EXPECT_THAT(refusal([&](Json& j) { merges(j)[3] = "a b c"; }), HasSubstr("merges[3]"));
  EXPECT_THAT(refusal([&](Json& j) { merges(j)[3] = {"a"}; }), HasSubstr("merges[3]"));
  EXPECT_THAT(refusal([&](Json& j) { merges(j)[3] = 5; }), HasSubstr("merges[3]"));
  EXPECT_THAT(refusal([&](Json& j) { merges(j) = nullptr; }), HasSubstr("model.merges"));
}

TEST_F(TokenizerJson, BrokenAddedTokens) {
  const auto first = [](Json& j) -> Json& { return j["added_tokens"][0]; };
  EXPECT_THAT(refusal([&](Json& j) { first(j)["id"] = 3; }), HasSubstr("id 3"));
  EXPECT_THAT(refusal([&](Json& j) { first(j)["id"] = int64_t{1} << 40; }),
              HasSubstr("has the id"));
  EXPECT_THAT(refusal([&](Json& j) { first(j).erase("id"); }), HasSubstr("added_tokens[0]"));
  EXPECT_THAT(refusal([&](Json& j) { first(j)["content"] = ""; }), HasSubstr("no content"));
  EXPECT_THAT(refusal([&](Json& j) { first(j)["content"] = "!"; }), HasSubstr("in model.vocab"));
  EXPECT_THAT(refusal([&](Json& j) { j["added_tokens"] = 1; }), HasSubstr("not a list"));
}

TEST_F(TokenizerJson, WhatWeDoNotHaveIsNamed) {
  EXPECT_THAT(refusal([](Json& j) { j["model"]["type"] = "Unigram"; }), HasSubstr("Unigram"));
  EXPECT_THAT(refusal([](Json& j) { j["model"]["dropout"] = 0.1; }), HasSubstr("dropout"));
  EXPECT_THAT(refusal([](Json& j) { j["model"]["unk_token"] = "zzz"; }), HasSubstr("unk_token"));
  EXPECT_THAT(refusal([](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }),
              HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(refusal([](Json& j) { j["normalizer"] = {{"type", "NFKC"}}; }), HasSubstr("NFKC"));
  EXPECT_THAT(refusal([](Json& j) { j["pre_tokenizer"] = nullptr; }), HasSubstr("ByteLevel"));
  EXPECT_THAT(refusal([](Json& j) {
                j["pre_tokenizer"] = {{"type", "Metaspace"}};
              }),
              HasSubstr("Metaspace"));
  EXPECT_THAT(refusal([](Json& j) {
                j["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\w+|odd";
              }),
              HasSubstr("\\\\w+|odd"));
  EXPECT_THAT(
      refusal([](Json& j) { j["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; }),
      HasSubstr("Removed"));
  EXPECT_THAT(refusal([](Json& j) {
                j["decoder"] = {{"type", "WordPiece"}};
              }),
              HasSubstr("WordPiece"));
}

TEST_F(TokenizerJson, FilesBesideItSayWhereAReplyEnds) {
  write(
      "tokenizer_config.json",
      R"({"eos_token": {"content": "<|im_end|>"}, "bos_token": "<|im_start|>", "add_bos_token": true,
            "chat_template": [{"name": "tool_use", "template": "no"},
                              {"name": "default", "template": "yes"}]})");
  write("generation_config.json", R"({"eos_token_id": [900, 902, 123456, -1]})");
  auto tokenizer = open(good_);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT((*tokenizer)->eos(), ElementsAre(900, 902));
  EXPECT_EQ((*tokenizer)->bos(), 901);
  EXPECT_TRUE((*tokenizer)->adds_bos());
  EXPECT_EQ((*tokenizer)->chat_template(), "yes");
  write("chat_template.jinja", "newer");
  EXPECT_EQ((*open(good_))->chat_template(), "newer");
  write("generation_config.json", "[");
  EXPECT_THAT(open(good_).error().message, HasSubstr("generation_config.json"));
}

}  // namespace
}  // namespace kvtoll
