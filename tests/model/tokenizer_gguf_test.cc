// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kvtoll/model/byte_alphabet.h"
#include "kvtoll/model/tokenizer.h"
#include "support/gguf_writer.h"

namespace kvtoll {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::GgufWriter;

// The 256 bytes, "ab", "abc" (which no merge makes), <s> and </s>.
struct Metadata {
  std::string model = "gpt2", pre = "qwen2";
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges = {"a b"};
  uint32_t eos = 259;
  std::string without;  // a key to leave out

  Metadata() {
    for (int b = 0; b < 256; ++b) tokens.push_back(byte_to_text(static_cast<uint8_t>(b)));
    for (const char* text : {"ab", "abc", "<s>", "<|im_end|>"}) tokens.emplace_back(text);
    types.assign(258, 1);
    types.insert(types.end(), {4, 3});
  }
};

class TokenizerGguf : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "kvtoll_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Result<std::shared_ptr<const Tokenizer>> open(const Metadata& m) {
    GgufWriter w;
    const auto wanted = [&](const std::string& key) { return key != m.without; };
    if (wanted("model")) w.text("tokenizer.ggml.model", m.model);
    if (wanted("pre")) w.text("tokenizer.ggml.pre", m.pre);
    if (wanted("tokens")) w.strings("tokenizer.ggml.tokens", m.tokens);
    if (wanted("token_type")) w.i32s("tokenizer.ggml.token_type", m.types);
    if (wanted("merges")) w.strings("tokenizer.ggml.merges", m.merges);
    w.u32("tokenizer.ggml.eos_token_id", m.eos);
    w.u32("tokenizer.ggml.bos_token_id", 258);
    const auto path = folder_ / "model.gguf";
    std::ofstream(path, std::ios::binary) << w.bytes();
    return open_tokenizer(path.string());
  }
  std::string refusal(const Metadata& m) {
    const auto result = open(m);
    if (result) return "accepted";
    EXPECT_EQ(result.error().kind, ErrorKind::kInput);
    EXPECT_THAT(result.error().message, HasSubstr("model.gguf"));
    return result.error().message;
  }
  std::filesystem::path folder_;
};

TEST_F(TokenizerGguf, TheNameOfTheSplitterSaysTheRest) {
  Metadata m;
  auto qwen = *open(m);
  EXPECT_EQ(qwen->encode("abc"), (std::vector<int32_t>{256, 'c'}));
  EXPECT_THAT(qwen->encode("<s>ab"), ElementsAre(258, 256));
  EXPECT_EQ(qwen->encode("e\u0301"), qwen->encode("\u00e9"));  // NFC
  EXPECT_FALSE(qwen->adds_bos());
  EXPECT_THAT(qwen->eos(), ElementsAre(259));
  EXPECT_EQ(qwen->decode({258, 259, 'a'}, true), "<s>a");
  m.pre = "llama-bpe";
  auto llama = *open(m);
  EXPECT_THAT(llama->encode("abc"), ElementsAre(257));  // a whole token needs no merges
  EXPECT_NE(llama->encode("e\u0301"), llama->encode("\u00e9"));
  EXPECT_TRUE(llama->adds_bos());
  for (const std::string pre : {"deepseek-r1-qwen", "smollm", "gpt-2"}) {
    m.pre = pre;
    EXPECT_TRUE(open(m)) << pre;
  }
}

TEST_F(TokenizerGguf, BrokenMetadataIsNamed) {
  const auto changed = [](auto change) {
    Metadata m;
    change(m);
    return m;
  };
  for (const std::string key : {"model", "pre", "tokens", "merges"})
    EXPECT_THAT(refusal(changed([&](Metadata& m) { m.without = key; })),
                HasSubstr("tokenizer.ggml." + key));
  EXPECT_THAT(refusal(changed([](Metadata& m) { m.model = "llama"; })), HasSubstr("llama"));
  EXPECT_THAT(refusal(changed([](Metadata& m) { m.pre = "default"; })), HasSubstr("default"));
  EXPECT_THAT(refusal(changed([](Metadata& m) { m.tokens[3] = "!"; })), HasSubstr("two ids"));
  EXPECT_THAT(refusal(changed([](Metadata& m) { m.tokens[3] = "\xFF"; })),
              HasSubstr("tokens[3] is not UTF-8"));
  EXPECT_THAT(refusal(changed([](Metadata& m) { m.tokens.clear(); })), HasSubstr("empty"));
  EXPECT_THAT(refusal(changed([](Metadata& m) { m.types.pop_back(); })), HasSubstr("token_type"));
  EXPECT_THAT(refusal(changed([](Metadata& m) { m.tokens[258] = ""; })), HasSubstr("tokens[258]"));
  EXPECT_THAT(refusal(changed([](Metadata& m) {
                m.merges = {"a b", "b c"};
              })),
              HasSubstr("merge 1"));
  EXPECT_THAT(refusal(changed([](Metadata& m) { m.merges = {"a  b"}; })), HasSubstr("merges[0]"));
  EXPECT_THAT(refusal(changed([](Metadata& m) { m.merges = {"ab"}; })), HasSubstr("merges[0]"));
  EXPECT_THAT(refusal(changed([](Metadata& m) { m.eos = 260; })), HasSubstr("eos_token_id"));
}

}  // namespace
}  // namespace kvtoll
