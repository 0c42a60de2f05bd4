// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/model_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace kvtoll {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class HubCache : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::temp_directory_path() / fmt::format("kvtoll-{}-{}", info->name(), ::getpid());
    const fs::path model = root_ / "hub" / "models--Qwen--Qwen2.5-0.5B";
    fs::create_directories(model / "snapshots" / "abc123");
    fs::create_directories(model / "refs");
    std::ofstream(model / "refs" / "main") << "abc123\n";
    std::ofstream(model / "refs" / "old") << "gone";
    ::unsetenv("HF_HUB_CACHE");
    ::unsetenv("XDG_CACHE_HOME");
    ::setenv("HF_HOME", root_.c_str(), 1);
  }
  void TearDown() override {
    ::unsetenv("HF_HOME");
    ::unsetenv("HF_HUB_CACHE");
    fs::remove_all(root_);
  }
  static std::string refusal(const std::string& spec) {
    auto resolved = resolve_model(spec);
    if (resolved) return "accepted";
    EXPECT_EQ(resolved.error().exit_code(), 3);
    return resolved.error().message;
  }
  fs::path root_;
};

TEST_F(HubCache, FindsTheSnapshot) {
  for (const char* spec :
       {"Qwen/Qwen2.5-0.5B", "Qwen/Qwen2.5-0.5B@main", "Qwen/Qwen2.5-0.5B@abc123"}) {
    auto found = resolve_model(spec);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->path.filename(), "abc123");
    EXPECT_EQ(found->name, "Qwen2.5-0.5B");
    EXPECT_EQ(found->source, ModelSource::kFolder);
  }
  ::setenv("HF_HUB_CACHE", (root_ / "elsewhere").c_str(), 1);
  EXPECT_THAT(refusal("Qwen/Qwen2.5-0.5B"), HasSubstr("elsewhere"));
}

TEST_F(HubCache, SaysWhatIsMissing) {
  EXPECT_THAT(refusal("Qwen/Qwen9"), HasSubstr("huggingface-cli download Qwen/Qwen9"));
  EXPECT_THAT(refusal("Qwen/Qwen2.5-0.5B@old"), HasSubstr("no snapshot gone"));
  EXPECT_THAT(refusal("Qwen/Qwen2.5-0.5B@../.."), HasSubstr("not a revision"));
  EXPECT_THAT(refusal("no-such-thing"), HasSubstr("no such file or folder"));
  EXPECT_THAT(refusal("/no/such/thing"), HasSubstr("no such file or folder"));
  std::ofstream(root_ / "model.safetensors") << "x";
  EXPECT_THAT(refusal((root_ / "model.safetensors").string()), HasSubstr("pass its folder"));
}

TEST_F(HubCache, FoldersFilesAndGeometries) {
  EXPECT_EQ(resolve_model(root_.string() + "/")->name, root_.filename());
  std::ofstream(root_ / "tiny.Q4_K.gguf") << "x";
  const auto gguf = resolve_model((root_ / "tiny.Q4_K.gguf").string());
  EXPECT_EQ(gguf->source, ModelSource::kGguf);
  EXPECT_EQ(gguf->name, "tiny.Q4_K");
  const auto synthetic = resolve_model("synthetic:qwen2.5-7b:seed=3");
  EXPECT_EQ(synthetic->source, ModelSource::kSynthetic);
  EXPECT_EQ(synthetic->name, "qwen2.5-7b");
  EXPECT_EQ(resolve_model("").error().exit_code(), 2);
}

}  // namespace
}  // namespace kvtoll
