// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "support/golden_strings.h"

namespace kvtoll {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string data(const std::string& name) {
  return std::string(KVTOLL_TEST_DATA) + "/tokenizer/" + name;
}
std::string r1_head() {
  return std::string(KVTOLL_SOURCE_DIR) + "/../shared/data/deepseek-r1-distill-qwen-7b/header.gguf";
}
std::string smollm2() {  // tools/fetch_smollm2 puts it there
  return std::string(KVTOLL_SOURCE_DIR) + "/build/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

std::shared_ptr<const Tokenizer> open(const std::string& path) {
  auto tokenizer = open_tokenizer(path);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

void expect_equal_to_hugging_face(const std::string& name, const std::string& path) {
  const auto tokenizer = open(path);
  ASSERT_TRUE(tokenizer);
  const test::GoldenStrings golden;
  const auto expected = golden.hashes(name);
  ASSERT_EQ(expected.size(), golden.count());
  ASSERT_GE(expected.size(), 5000u);
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto ids = tokenizer->encode(golden.string(i));
    ASSERT_EQ(test::hash_values(ids), expected[i])
        << "string " << i << " '" << golden.string(i)
        << "': " << fmt::format("{}", fmt::join(ids, " "));
  }
}

class SmallTokenizer : public ::testing::TestWithParam<std::string> {};

TEST_P(SmallTokenizer, EqualsHuggingFace) {
  expect_equal_to_hugging_face(GetParam(), data(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(All, SmallTokenizer,
                         ::testing::Values("qwen2", "llama3", "smollm", "gpt2", "whole", "spaces"),
                         [](const auto& info) { return info.param; });

TEST(RealTokenizer, DeepSeekR1DistillQwen) {
  if (!std::filesystem::exists(r1_head())) GTEST_SKIP() << "no " << r1_head();
  expect_equal_to_hugging_face("deepseek-r1-distill-qwen-7b", r1_head());
  const auto tokenizer = open(r1_head());
  EXPECT_EQ(tokenizer->vocab_size(), 152064);
  EXPECT_EQ(tokenizer->token_id("<think>"), 151648);
  EXPECT_EQ(tokenizer->bos(), 151646);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_THAT(tokenizer->eos(), ElementsAre(151643));
  EXPECT_THAT(tokenizer->chat_template(), HasSubstr("<｜Assistant｜>"));
}

TEST(RealTokenizer, SmolLm2) {
  if (!std::filesystem::exists(smollm2())) GTEST_SKIP() << "no " << smollm2();
  expect_equal_to_hugging_face("smollm2", smollm2());
  const auto tokenizer = open(smollm2());
  EXPECT_THAT(tokenizer->encode("Hello world! 123"), ElementsAre(19556, 905, 17, 216, 33, 34, 35));
  EXPECT_THAT(tokenizer->eos(), ElementsAre(2, 0));
}

// With a token for every byte, decoding gives the text back (normalized where the model does so).
TEST(Decode, GivesTheTextBack) {
  const test::GoldenStrings golden;
  for (const std::string name : {"qwen2", "llama3", "spaces"}) {
    const auto tokenizer = open(data(name));
    for (uint64_t i = 0; i < 1000; ++i) {
      const std::string text = golden.string(golden.seed() + 2, i);
      const std::string back = tokenizer->decode(tokenizer->encode(text));
      if (name != "qwen2")
        ASSERT_EQ(back, text);
      else
        ASSERT_EQ(nfc(back), nfc(text));
    }
  }
}

TEST(Decode, SkipsSpecialTokensOnRequest) {
  const auto tokenizer = open(data("qwen2"));
  const auto ids = tokenizer->encode("<|im_start|>a<think>b<|im_end|>");
  EXPECT_EQ(tokenizer->decode(ids), "<|im_start|>a<think>b<|im_end|>");
  EXPECT_EQ(tokenizer->decode(ids, true), "a<think>b");
  EXPECT_EQ(tokenizer->decode({-1, 1 << 30}), "");
}

TEST(Encode, BytesThatAreNotUtf8CountAsReplacement) {
  const auto tokenizer = open(data("qwen2"));
  EXPECT_EQ(tokenizer->encode("a\xFFz\xE2\x82"), tokenizer->encode("a\uFFFDz\uFFFD"));
}

TEST(StreamDecoder, HoldsIncompleteCharacters) {
  const auto tokenizer = open(data("whole"));  // one token per byte
  const std::string text = "a\u00e9\u4e2d\U0001F600.";
  StreamDecoder stream(tokenizer);
  std::string out;
  for (const int32_t id : tokenizer->encode(text)) {
    const std::string part = stream.push(id);
    EXPECT_TRUE(is_valid_utf8(part));
    out += part;
  }
  EXPECT_EQ(out + stream.finish(), text);

  const auto smile = tokenizer->encode("\U0001F600");
  EXPECT_EQ(stream.push(smile[0]), "");
  EXPECT_EQ(stream.push(smile[1]), "");
  EXPECT_EQ(stream.push(*tokenizer->token_id("x")), "\uFFFDx");
  EXPECT_EQ(stream.push(smile[0]), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(TokenIds, ReadAsPeopleWriteThem) {
  EXPECT_THAT(*parse_token_ids("1 2,3\n[4, 5]", 10, "stdin"), ElementsAre(1, 2, 3, 4, 5));
  EXPECT_THAT(*parse_token_ids("", 10, "stdin"), ElementsAre());
  for (const auto* wrong : {"1 x", "1.5", "99999999999999999999", "10", "-1", "1;2"}) {
    const auto result = parse_token_ids(wrong, 10, "stdin");
    ASSERT_FALSE(result) << wrong;
    EXPECT_EQ(result.error().kind, ErrorKind::kInput);
    EXPECT_THAT(result.error().message, HasSubstr("stdin: byte"));
  }
}

}  // namespace
}  // namespace kvtoll
