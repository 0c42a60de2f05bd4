// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Exit codes and files of run, report, compare, validate and schema, through the program itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "support/temporary_folder.h"

namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

struct Output {
  int status = -1;
  std::string text;  // stdout and stderr
};

Output run(const std::string& arguments) {
  Output output;
  std::FILE* pipe = ::popen((std::string(KVTOLL_BINARY) + " " + arguments + " 2>&1").c_str(), "r");
  char buffer[4096];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) output.text.append(buffer, n);
  const int status = ::pclose(pipe);
  output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return output;
}

class RunCommand : public ::testing::Test {
 protected:
  std::string results() const { return (folder_.path() / "r").string(); }
  std::string tiny() const {
    return "run --backend cpu --model m=synthetic:tiny-llama --kv fp16,int4-quanto --new-tokens 30 "
           "--residual 8 --prompt-tokens 16 --quiet --results " +
           results();
  }
  kvtoll::testing::TemporaryFolder folder_;
};

// Several formats in one evaluation, graded again, validated, compared in fidelity.
TEST_F(RunCommand, EvaluatesAListOfFormats) {
  const std::string eval =
      "eval facts --backend cpu --kv fp16,int4-quanto:group=32,axis=0 "
      "--limit 3 --quiet --model " KVTOLL_SOURCE_DIR
      "/models/scribe "
      "--results " +
      results();
  const Output asked = run(eval);
  EXPECT_EQ(asked.status, 0) << asked.text;
  EXPECT_THAT(asked.text, HasSubstr("kv=fp16 "));
  EXPECT_THAT(asked.text, HasSubstr("kv=int4-quanto:group=32,axis=0 "));
  EXPECT_THAT(asked.text, HasSubstr("against fp16"));
  EXPECT_EQ(run(eval + " --regrade").status, 0);
  EXPECT_THAT(run("validate " + results()).text, HasSubstr("2 evaluations, 0 studies, 0 problems"));
  EXPECT_EQ(run("eval facts --kv fp16,int5-none --model x").status, 2);  // before anything is asked
  EXPECT_EQ(run("eval facts --kv , --model x").status, 2);
  const Output fidelity =
      run("fidelity --backend cpu --kv fp16 --task facts --quiet --model " KVTOLL_SOURCE_DIR
          "/models/scribe --results " +
          results());
  EXPECT_EQ(fidelity.status, 2);
  EXPECT_THAT(fidelity.text, HasSubstr("--prefill quantized"));
}

TEST_F(RunCommand, MeasuresReportsComparesAndValidates) {
  const Output first = run(tiny());
  ASSERT_EQ(first.status, 0) << first.text;
  EXPECT_THAT(first.text, HasSubstr("2 measured, 0 finished before; 2 ok"));
  EXPECT_THAT(first.text, HasSubstr("report.html"));
  const fs::path raw = fs::path(results()) / "raw";
  const std::string a = (raw / "m.fp16.n30.r8.p16.cpu.json").string(),
                    b = (raw / "m.int4-quanto.n30.r8.p16.cpu.json").string();
  EXPECT_TRUE(fs::exists(a) && fs::exists(b));
  EXPECT_TRUE(fs::exists(fs::path(results()) / "summary.csv"));
  EXPECT_THAT(run(tiny()).text, HasSubstr("0 measured, 2 finished before"));
  EXPECT_EQ(run("validate " + results()).status, 0);
  EXPECT_EQ(run("compare " + a + " " + b).status, 0);
  EXPECT_EQ(run("report " + results()).status, 0);
  fs::remove(a);
  const Output incomplete = run("validate " + results());
  EXPECT_EQ(incomplete.status, 1);
  EXPECT_THAT(incomplete.text, HasSubstr("missing"));
}

TEST_F(RunCommand, BadInputHasItsExitCode) {
  EXPECT_EQ(run("run no-such-study").status, 2);
  EXPECT_EQ(run("run --kv fp16 --new-tokens 8").status, 2);  // which model?
  EXPECT_EQ(run("run missing.toml").status, 3);
  EXPECT_EQ(run("report " + results()).status, 3);
  EXPECT_EQ(run("validate " + results()).status, 3);
  const fs::path toml = folder_.path() / "s.toml";
  std::ofstream(toml) << "[[model]]\nname = \"m\"\nsource = \"synthetic:tiny-llama\"\n"
                         "[[matrix]]\nkv = [\"fp16\"]\nnew_token = [8]\n";
  const Output unknown = run("run " + toml.string());
  EXPECT_EQ(unknown.status, 3);
  EXPECT_THAT(unknown.text, HasSubstr("s.toml:6: unknown key \"new_token\""));
  fs::create_directories(fs::path(results()) / "raw");
  std::ofstream(fs::path(results()) / "raw/m.fp16.n30.r8.p16.cpu.json")
      << "{\"schema\": \"kvtoll.run/9\"}";
  const Output later = run(tiny());
  EXPECT_EQ(later.status, 3);
  EXPECT_THAT(later.text, HasSubstr("kvtoll.run/9"));
}

TEST_F(RunCommand, AnUnwritableFolderIsFour) {
  const Output output =
      run("run --backend cpu --model m=synthetic:tiny-llama --kv fp16 "
          "--new-tokens 8 --results /proc/none");
  EXPECT_EQ(output.status, 4) << output.text;
}

TEST_F(RunCommand, SeveralDevicesShareTheBlocks) {
  const Output output = run(tiny() + " --batch 1,2 --devices 0,1");  // two CPU processes
  ASSERT_EQ(output.status, 0) << output.text;
  EXPECT_EQ(run("validate " + results()).status, 0);
  const fs::path raw = fs::path(results()) / "raw";
  EXPECT_EQ(std::distance(fs::directory_iterator(raw), fs::directory_iterator()), 4);
}

TEST_F(RunCommand, ListMeasuresNothing) {
  const Output output = run(tiny() + " --list");
  EXPECT_EQ(output.status, 0);
  EXPECT_THAT(output.text, HasSubstr("to do     m.fp16.n30.r8.p16.cpu"));
  EXPECT_FALSE(fs::exists(results()));
}

TEST_F(RunCommand, SchemaIsATableAndJson) {
  EXPECT_THAT(run("schema").text, HasSubstr("throughput.decode_tok_s.mean"));
  EXPECT_THAT(run("schema --json").text, HasSubstr("\"name\": \"energy.net_j_per_token\""));
}

}  // namespace
