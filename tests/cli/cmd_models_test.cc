// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Exit codes of commands that open a model: 0 what can be described, 3 what cannot be used.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>

namespace {

struct Outcome {
  int exit_code = -1;
  std::string out;  // stdout and stderr
};

Outcome run(const std::string& arguments) {
  Outcome outcome;
  FILE* pipe = ::popen((std::string(KVTOLL_BINARY) + " " + arguments + " 2>&1").c_str(), "r");
  std::array<char, 4096> buffer;
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe))
    outcome.out.append(buffer.data(), n);
  const int status = ::pclose(pipe);
  if (WIFEXITED(status)) outcome.exit_code = WEXITSTATUS(status);
  return outcome;
}

bool mentions(const Outcome& o, const std::string& text) {
  return o.out.find(text) != std::string::npos;
}

TEST(ModelsCommand, ListsGeometriesAndDescribesModels) {
  const Outcome list = run("models");
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_TRUE(mentions(list, "qwen2.5-7b")) << list.out;
  const Outcome one =
      run("models --json --model " KVTOLL_TEST_DATA "/checkpoints/gguf-llama-k.gguf");
  EXPECT_EQ(one.exit_code, 0);
  EXPECT_TRUE(mentions(one, "\"family\": \"llama\"")) << one.out;
  EXPECT_TRUE(mentions(one, "Q6_K")) << one.out;
}

TEST(ModelsCommand, UnusableModelsAreThree) {
  for (const char* model : {"/no/such/folder", "synthetic:nothing", "nobody/nothing",
                            KVTOLL_TEST_DATA, KVTOLL_TEST_DATA "/gguf_blocks.safetensors"}) {
    const Outcome o = run(std::string("models --model ") + model);
    EXPECT_EQ(o.exit_code, 3) << o.out;
    EXPECT_TRUE(mentions(o, model)) << o.out;
  }
}

// A head has everything but the weights: described by one command, refused by the other.
TEST(ModelsCommand, HeadWithoutWeights) {
  const std::string whole = KVTOLL_TEST_DATA "/checkpoints/gguf-qwen3-f16.gguf";
  const auto head = std::filesystem::temp_directory_path() /
                    ("kvtoll-head-" + std::to_string(::getpid()) + ".gguf");
  std::filesystem::copy_file(whole, head);
  std::filesystem::resize_file(head, std::filesystem::file_size(whole) / 2);
  const Outcome described = run("models --model " + head.string());
  EXPECT_EQ(described.exit_code, 0) << described.out;
  EXPECT_TRUE(mentions(described, "no weights")) << described.out;
  const Outcome refused = run("generate --token-ids 1,2 --model " + head.string());
  EXPECT_EQ(refused.exit_code, 3) << refused.out;
  EXPECT_TRUE(mentions(refused, head.string())) << refused.out;
  std::filesystem::remove(head);
}

}  // namespace
