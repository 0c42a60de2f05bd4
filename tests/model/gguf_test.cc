// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "kvtoll/core/rng.h"
#include "support/gguf_writer.h"

namespace kvtoll {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::GgufWriter;

class Gguf : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = fs::temp_directory_path() / fmt::format("kvtoll-{}-{}.gguf", info->name(), ::getpid());
  }
  void TearDown() override { fs::remove(path_); }

  Result<std::shared_ptr<const GgufFile>> open(const std::string& bytes) {
    fs::remove(path_);  // a truncated file would be flushed to the disk each time
    std::ofstream(path_, std::ios::binary) << bytes;
    return GgufFile::open(path_);
  }
  std::string refusal(const std::string& bytes) {
    auto opened = open(bytes);
    if (opened) return "accepted";
    EXPECT_EQ(opened.error().kind, ErrorKind::kInput);
    EXPECT_THAT(opened.error().message, HasSubstr(path_.string()));
    return opened.error().message;
  }
  fs::path path_;
};

GgufWriter good() {
  GgufWriter w;
  w.text("general.architecture", "llama");
  w.u32("llama.block_count", 2);
  w.f32("llama.rope.freq_base", 10000.0f);
  w.boolean("tokenizer.ggml.add_bos_token", true);
  w.strings("tokenizer.ggml.tokens", {"a", "", "\xc4\xa0the"});
  w.i32s("tokenizer.ggml.token_type", {1, -3, 1});
  w.tensor("norm", 0, {4}, std::string(16, '\1'));
  w.tensor("q", 8, {64, 2}, std::string(4 * 34, '\2'));
  return w;
}

TEST_F(Gguf, ReadsKeysAndTensors) {
  auto opened = open(good().bytes());
  ASSERT_TRUE(opened) << opened.error().message;
  const GgufFile& f = **opened;
  EXPECT_EQ(*f.text("general.architecture"), "llama");
  EXPECT_EQ(*f.integer("llama.block_count"), 2);
  EXPECT_EQ(*f.number("llama.rope.freq_base", 0), 10000.0);
  EXPECT_EQ(*f.boolean("tokenizer.ggml.add_bos_token", false), true);
  EXPECT_THAT(*f.find_strings("tokenizer.ggml.tokens"), ElementsAre("a", "", "\xc4\xa0the"));
  EXPECT_THAT(*f.find_integers("tokenizer.ggml.token_type"), ElementsAre(1, -3, 1));
  EXPECT_EQ(f.find_numbers("tokenizer.ggml.token_type"), nullptr);
  EXPECT_EQ(*f.integer("absent", 7), 7);
  EXPECT_THAT(f.integer("absent").error().message, HasSubstr("absent is missing"));
  EXPECT_THAT(f.integer("general.architecture", 1).error().message, HasSubstr("whole number"));
  EXPECT_THAT(f.text("llama.block_count").error().message, HasSubstr("not a string"));
  const GgufTensor* q = f.find_tensor("q");
  ASSERT_NE(q, nullptr);
  EXPECT_EQ(q->shape, (Shape{2, 64}));  // stored innermost first
  EXPECT_EQ(q->type->name, "Q8_0");
  EXPECT_EQ(q->blocks.size(), 4u * 34);
  EXPECT_EQ(q->blocks[0], std::byte{2});
  EXPECT_TRUE(f.tensors_present());
  EXPECT_EQ(f.find_tensor("k"), nullptr);
}

TEST_F(Gguf, AHeadWithoutItsTensorsOpens) {
  const std::string whole = good().bytes();
  const size_t needed = (*open(whole))->needed_bytes();
  ASSERT_GT(needed + 32, whole.size());  // but for the last tensor's padding
  auto opened = open(whole.substr(0, needed - 1));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_FALSE((*opened)->tensors_present());
  EXPECT_EQ((*opened)->needed_bytes(), needed);
  EXPECT_TRUE((*opened)->find_tensor("q")->blocks.empty());
  EXPECT_FALSE((*opened)->find_tensor("norm")->blocks.empty());
}

TEST_F(Gguf, EveryTruncationOfTheHeaderIsRefused) {
  const std::string whole = good().bytes();
  const size_t header = good().header_bytes();
  for (size_t n = 0; n < header; ++n) EXPECT_NE(refusal(whole.substr(0, n)), "accepted") << n;
}

TEST_F(Gguf, RefusesLies) {
  const auto patched = [](size_t at, auto value) {
    std::string bytes = good().bytes();
    std::memcpy(bytes.data() + at, &value, sizeof(value));
    return bytes;
  };
  EXPECT_THAT(refusal(patched(0, 'X')), HasSubstr("not a GGUF file"));
  EXPECT_THAT(refusal(patched(4, uint32_t{1})), HasSubstr("version 1"));
  EXPECT_THAT(refusal(patched(4, uint32_t{0x03000000})), HasSubstr("version 50331648"));
  EXPECT_THAT(refusal(patched(8, uint64_t{1} << 62)), HasSubstr("more than"));
  EXPECT_THAT(refusal(patched(16, ~uint64_t{0})), HasSubstr("more than"));
  EXPECT_THAT(refusal(patched(24, ~uint64_t{0})), HasSubstr("a string at byte 24"));

  const auto with = [](auto edit) {
    GgufWriter w = good();
    edit(w);
    return w.bytes();
  };
  EXPECT_THAT(refusal(with([](auto& w) { w.u32("llama.block_count", 3); })), HasSubstr("twice"));
  EXPECT_THAT(refusal(with([](auto& w) { w.tensor("q", 0, {4}, std::string(16, 0)); })),
              HasSubstr("tensor q twice"));
  EXPECT_THAT(refusal(with([](auto& w) { w.tensor("x", 99, {4}, ""); })),
              HasSubstr("unknown type 99"));
  EXPECT_THAT(refusal(with([](auto& w) { w.tensor("x", 8, {33}, ""); })),
              HasSubstr("not whole blocks"));
  EXPECT_THAT(refusal(with([](auto& w) { w.tensor("x", 0, {0}, ""); })), HasSubstr("dimension"));
  EXPECT_THAT(refusal(with([](auto& w) {
                w.tensor("x", 0, {1ull << 32, 1ull << 32}, "");
              })),
              HasSubstr("dimension"));
  EXPECT_THAT(refusal(with([](auto& w) {
                w.tensor("x", 28, {1ull << 40, 1ull << 22}, "");
              })),
              HasSubstr("overflow"));
  EXPECT_THAT(refusal(with([](auto& w) { w.tensor_at("x", 0, {4}, 33); })),
              HasSubstr("not a multiple of 32"));
  EXPECT_THAT(refusal(with([](auto& w) { w.tensor_at("x", 0, {4}, 0); })), HasSubstr("overlap"));
  EXPECT_THAT(refusal(with([](auto& w) { w.tensor_at("x", 0, {4}, ~uint64_t{31}); })),
              HasSubstr("overflows"));
  EXPECT_THAT(refusal(with([](auto& w) { w.u32("general.alignment", 12); })),
              HasSubstr("alignment"));
  EXPECT_THAT(refusal(with([](auto& w) { w.u32("general.alignment", 0); })),
              HasSubstr("alignment"));
  EXPECT_THAT(refusal(with([](auto& w) { w.array_head("a", 4, 1ull << 60); })),
              HasSubstr("claims 1152921504606846976 elements"));
  EXPECT_THAT(refusal(with([](auto& w) { w.array_head("a", 9, 1); })), HasSubstr("kind 9"));
  EXPECT_THAT(refusal(with([](auto& w) { w.array_head("a", 77, 1); })), HasSubstr("kind 77"));
  EXPECT_THAT(refusal(with([](auto& w) { w.u64("a", ~uint64_t{0}); })), HasSubstr("2^63"));
}

// Any bytes: an answer or an error, never a crash or a read outside the file (run under ASan).
TEST_F(Gguf, MutatedFilesNeverCrash) {
  const std::string whole = good().bytes();
  const size_t header = good().header_bytes();
  Rng rng(20240608);
  int opened_count = 0;
  uint64_t sum = 0;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = whole;
    for (uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
      const uint64_t value = rng.below(3) == 0 ? 255 : rng.below(3) == 0 ? 0 : rng.below(256);
      bytes[rng.below(header)] = static_cast<char>(value);
    }
    auto opened = open(bytes);
    if (!opened) continue;
    ++opened_count;
    for (const auto& [name, tensor] : (*opened)->tensors())
      for (std::byte b : tensor.blocks) sum += static_cast<uint64_t>(b);
    for (const auto& [key, value] : (*opened)->metadata())
      if (const auto* text = std::get_if<std::string_view>(&value))
        for (char c : *text) sum += static_cast<unsigned char>(c);
  }
  EXPECT_GT(opened_count, 0);
  EXPECT_GT(sum, 0u);
}

}  // namespace
}  // namespace kvtoll
