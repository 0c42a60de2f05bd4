// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// `kvtoll import` and `kvtoll doctor` as a user meets them: exit codes, what goes to stdout.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using ::testing::HasSubstr;

struct Outcome {
  int code;
  std::string out;
};

Outcome run(const std::string& arguments) {
  FILE* pipe = popen((std::string(KVTOLL_BINARY) + " " + arguments).c_str(), "r");
  Outcome outcome{-1, ""};
  if (!pipe) return outcome;
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    outcome.out.append(buffer.data(), n);
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

const std::string kTrace = std::string(KVTOLL_TEST_DATA) + "/traces/torch_cuda_fp16.json.gz";

TEST(Import, PrintsTheTableOrJson) {
  const Outcome text = run("import " + kTrace);
  EXPECT_EQ(text.code, 0);
  EXPECT_THAT(text.out, HasSubstr("attention"));
  EXPECT_THAT(text.out, HasSubstr("3 steps, 105.0 launches a step"));
  const Outcome json = run("import --json " + kTrace);
  ASSERT_EQ(json.code, 0);
  const auto parsed = nlohmann::json::parse(json.out);
  EXPECT_EQ(parsed["schema"], "kvtoll.import/1");
  EXPECT_EQ(parsed["source"]["tool"], "pytorch");
  EXPECT_EQ(parsed["categories"].size(), 9u);
  double shares = 0.0;
  for (const auto& [name, time] : parsed["categories"].items())
    shares += time["share"].get<double>();
  EXPECT_NEAR(shares, 1.0, 1e-9);
}

TEST(Import, BadFilesAreExitCodeThree) {
  EXPECT_EQ(run("import no-such-file.json 2>/dev/null").code, 3);
  EXPECT_EQ(run(std::string("import ") + KVTOLL_BINARY + " 2>/dev/null").code, 3);
  EXPECT_EQ(run("import 2>/dev/null").code, 2);
}

TEST(Doctor, AlwaysAnswers) {
  EXPECT_EQ(run("doctor").code, 0);
  const Outcome json = run("doctor --json --model synthetic:qwen2.5-7b");
  ASSERT_EQ(json.code, 0);
  const auto parsed = nlohmann::json::parse(json.out);
  EXPECT_EQ(parsed["schema"], "kvtoll.doctor/1");
  EXPECT_GE(parsed["checks"].size(), 10u);
  EXPECT_TRUE(parsed.contains("model"));
  EXPECT_EQ(run("doctor --model no-such-model 2>/dev/null").code, 3);
}

}  // namespace
