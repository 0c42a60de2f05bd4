// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/core/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "kvtoll/core/rng.h"

namespace kvtoll {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class Safetensors : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / fmt::format("kvtoll-{}-{}", info->name(), ::getpid());
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& content) {
    const fs::path path = folder_ / "x.safetensors";
    fs::remove(path);  // a truncated file would be flushed to the disk each time
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  // A file with this header text and `data` zero bytes.
  fs::path file(const std::string& header, size_t data) {
    const uint64_t length = header.size();
    return write(std::string(reinterpret_cast<const char*>(&length), 8) + header +
                 std::string(data, '\0'));
  }
  std::string refusal(const fs::path& path) {
    auto opened = SafetensorsFile::open(path);
    if (opened) return "accepted";
    EXPECT_EQ(opened.error().kind, ErrorKind::kInput);
    EXPECT_THAT(opened.error().message, HasSubstr("x.safetensors"));
    return opened.error().message;
  }
  std::string refusal(const std::string& header, size_t data) {
    return refusal(file(header, data));
  }

  fs::path folder_;
};

std::string good_file(const fs::path& path) {
  const float f[] = {1.5f, -2.0f, 3.25f};
  const uint16_t h[] = {0x3c00, 0xc000};
  const uint8_t b[] = {1, 2, 3};
  const NamedTensor tensors[] = {{"b", {b, DType::kU8, {3}}},
                                 {"h", {h, DType::kF16, {2, 1}}},
                                 {"f", {f, DType::kF32, {1, 3}}}};
  EXPECT_TRUE(write_safetensors(path, tensors, {{"made_by", "test"}}));
  return *read_file(path);
}

TEST_F(Safetensors, WrittenAndReadBack) {
  good_file(folder_ / "x.safetensors");
  auto opened = SafetensorsFile::open(folder_ / "x.safetensors");
  ASSERT_TRUE(opened) << opened.error().message;
  const auto& file = **opened;
  EXPECT_EQ(file.metadata().at("made_by"), "test");
  EXPECT_EQ(file.entries().size(), 3u);
  const TensorView f = *file.tensor("f");
  EXPECT_EQ(f.shape, (Shape{1, 3}));
  EXPECT_EQ(f.at(2), 3.25f);
  EXPECT_EQ(file.tensor("h")->at(1), -2.0f);
  EXPECT_EQ(file.tensor("b")->at(2), 3.0f);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(f.data) % 4, 0u);
  EXPECT_THAT(file.tensor("missing").error().message, HasSubstr("no tensor missing"));
}

TEST_F(Safetensors, MisalignedTensorsAreReadable) {
  const uint64_t length = 131;
  std::string header = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                       R"("f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})";
  header.resize(length, ' ');
  const float value = -7.5f;
  std::string content(reinterpret_cast<const char*>(&length), 8);
  content += header + std::string(1, 'x');
  content.append(reinterpret_cast<const char*>(&value), 4);
  auto opened = SafetensorsFile::open(write(content));
  ASSERT_TRUE(opened) << opened.error().message;
  const TensorView f = *(*opened)->tensor("f");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(f.data) % 4, 0u);
  EXPECT_EQ(f.at(0), value);
}

TEST_F(Safetensors, ListsWhatItCannotView) {
  auto opened =
      SafetensorsFile::open(file(R"({"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},)"
                                 R"("b":{"dtype":"U8","shape":[1,1,1,1,2],"data_offsets":[2,4]}})",
                                 4));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_THAT((*opened)->tensor("a").error().message, HasSubstr("F8_E4M3"));
  EXPECT_THAT((*opened)->tensor("b").error().message, HasSubstr("5 dimensions"));
}

TEST_F(Safetensors, EmptyTensorsAndEmptyFilesAreLegal) {
  EXPECT_TRUE(SafetensorsFile::open(file("{}", 0)));
  auto opened =
      SafetensorsFile::open(file(R"({"a":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]}})", 0));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ((*opened)->tensor("a")->shape.elements(), 0);
}

TEST_F(Safetensors, RefusesLies) {
  const auto entry = [](const char* dtype, const char* shape, const char* offsets) {
    return fmt::format(R"({{"a":{{"dtype":"{}","shape":{},"data_offsets":{}}}}})", dtype, shape,
                       offsets);
  };
  EXPECT_THAT(refusal(write("1234567")), HasSubstr("too few"));
  EXPECT_THAT(refusal(write(std::string(8, '\xff'))), HasSubstr("header claims"));
  EXPECT_THAT(refusal(write("version https://git-lfs.github.com/spec/v1\n")), HasSubstr("LFS"));
  EXPECT_THAT(refusal(entry("F32", "[2]", "[0,8]"), 7), HasSubstr("truncated"));
  EXPECT_THAT(refusal(entry("F32", "[2]", "[0,8]"), 9), HasSubstr("belong to none"));
  EXPECT_THAT(refusal(entry("F32", "[2]", "[4,12]"), 12), HasSubstr("hole"));
  EXPECT_THAT(refusal(entry("F32", "[3]", "[0,8]"), 8), HasSubstr("do not fit"));
  EXPECT_THAT(refusal(entry("F32", "[2]", "[8,0]"), 8), HasSubstr("[begin, end]"));
  EXPECT_THAT(refusal(entry("F32", "[2]", "[0]"), 8), HasSubstr("[begin, end]"));
  EXPECT_THAT(refusal(entry("F99", "[2]", "[0,8]"), 8), HasSubstr("unknown dtype"));
  EXPECT_THAT(refusal(entry("F32", "[-2]", "[0,8]"), 8), HasSubstr("not a count"));
  EXPECT_THAT(refusal(entry("F32", "[2.0]", "[0,8]"), 8), HasSubstr("not a count"));
  EXPECT_THAT(refusal(entry("F32", "[2]", "[0,18446744073709551615]"), 8),
              HasSubstr("not a count"));
  // 2^32 * 2^32 * 4 bytes wraps to zero.
  EXPECT_THAT(refusal(entry("F32", "[4294967296,4294967296]", "[0,0]"), 0),
              HasSubstr("do not fit"));
  EXPECT_THAT(refusal(entry("F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "[0,4]"), 4),
              HasSubstr("at most 16"));
}

TEST_F(Safetensors, RefusesBrokenHeaders) {
  const std::string a = R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
  EXPECT_THAT(refusal("{" + a + "," + a + "}", 2), HasSubstr("a twice"));
  EXPECT_THAT(refusal(R"({"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2),
              HasSubstr("dtype twice"));
  EXPECT_THAT(refusal("{" + a + R"(,"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", 3),
              HasSubstr("overlap"));
  EXPECT_THAT(refusal("{\"\xff\xfe\":1}", 0), HasSubstr("not JSON"));
  EXPECT_THAT(refusal("[]", 0), HasSubstr("not a JSON object"));
  EXPECT_THAT(refusal(R"({"a":1})", 0), HasSubstr("needs dtype"));
  EXPECT_THAT(refusal(R"({"__metadata__":[]})", 0), HasSubstr("__metadata__"));
  EXPECT_THAT(refusal(std::string(200'000, '['), 0), HasSubstr("not JSON"));
  EXPECT_THAT(refusal(std::string(100'000, '[') + std::string(100'000, ']'), 0),
              HasSubstr("too deeply"));
}

TEST_F(Safetensors, EveryTruncationIsRefused) {
  const std::string whole = good_file(folder_ / "y.safetensors");
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_NE(refusal(write(whole.substr(0, n))), "accepted") << n;
}

// Any bytes: an answer or an error, never a crash or a view outside the file (run under ASan).
TEST_F(Safetensors, MutatedFilesNeverCrash) {
  const std::string whole = good_file(folder_ / "y.safetensors");
  Rng rng(20240607);
  double sum = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes = whole;
    for (uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
      static constexpr std::string_view kAlphabet = "0123456789[]{},:\"-.eE \0\xff";
      bytes[rng.below(bytes.size())] = kAlphabet[rng.below(kAlphabet.size())];
    }
    auto opened = SafetensorsFile::open(write(bytes));
    if (!opened) continue;
    for (const auto& [name, entry] : (*opened)->entries())
      if (auto view = (*opened)->tensor(name))
        for (int64_t i = 0; i < view->shape.elements(); ++i) sum += view->at(i) > 0 ? 1 : 0;
  }
  EXPECT_GE(sum, 0);
}

TEST_F(Safetensors, WriterLeavesNothingWhereItCannotWrite) {
  const uint8_t b[] = {1};
  const NamedTensor tensors[] = {{"b", {b, DType::kU8, {1}}}};
  auto written = write_safetensors("/proc/kvtoll/x.safetensors", tensors);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::kMachine);
}

}  // namespace
}  // namespace kvtoll
