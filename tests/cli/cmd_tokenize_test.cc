// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <string>

namespace {

struct Outcome {
  int code;
  std::string out;  // stdout and stderr
};

// input: a printf format without arguments.
Outcome tokenize(const std::string& input, const std::string& arguments) {
  const std::string command = "printf '" + input + "' | " + KVTOLL_BINARY + " tokenize --model " +
                              KVTOLL_TEST_DATA + "/tokenizer/" + arguments + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  Outcome outcome;
  for (int c; (c = std::fgetc(pipe)) != EOF;) outcome.out += static_cast<char>(c);
  const int status = pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return outcome;
}

// In the tokenizer "whole" a byte is a token: '!' has the id 0, 'a' 64, 'b' 65.
TEST(Tokenize, WholeInputOrLineByLine) {
  EXPECT_EQ(tokenize("ab", "whole").out, "64 65\n");
  EXPECT_EQ(tokenize("a\\nb\\n", "whole").out, "64 198 65 198\n");
  EXPECT_EQ(tokenize("a\\nb\\n", "whole --lines").out, "64\n65\n");
  EXPECT_EQ(tokenize("", "whole").out, "\n");
  EXPECT_EQ(tokenize("a", "whole --json").out, "{\"ids\":[64],\"pieces\":[\"a\"]}\n");
  EXPECT_EQ(tokenize("a", "whole/tokenizer.json").out, "64\n");
}

TEST(Tokenize, DecodeGivesTheBytesBack) {
  EXPECT_EQ(tokenize("64 65", "whole --decode").out, "ab");
  EXPECT_EQ(tokenize("[64, 65]\\n64\\n", "whole --decode --lines").out, "ab\na\n");
  EXPECT_EQ(tokenize("64", "whole --decode --json").out, "{\"text\":\"a\"}\n");
  EXPECT_EQ(tokenize("901 64", "qwen2 --decode --skip-special").out,
            tokenize("64", "qwen2 --decode").out);
}

TEST(Tokenize, ChatWritesThePromptOrSaysWhyNot) {
  const auto none = tokenize("a", "whole --chat");  // has no template
  EXPECT_EQ(none.code, 3);
  EXPECT_NE(none.out.find("--raw"), std::string::npos);
  EXPECT_EQ(tokenize("a", "whole --chat --decode").code, 2);
}

TEST(Tokenize, ExitCodes) {
  EXPECT_EQ(tokenize("a", "no-such-folder").code, 3);
  EXPECT_EQ(tokenize("64 x", "whole --decode").code, 3);
  EXPECT_NE(tokenize("64\\n999999\\n", "whole --decode --lines").out.find("stdin line 2"),
            std::string::npos);
  EXPECT_EQ(tokenize("a", "whole --add-bos").code, 2);
  EXPECT_EQ(tokenize("a", "whole --no-such-option").code, 2);
}

}  // namespace
