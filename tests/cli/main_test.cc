// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>

namespace {

int run(const std::string& arguments) {
  const int status =
      std::system((std::string(KVTOLL_BINARY) + " " + arguments + " >/dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(CommandLine, WrongUsageIsTwo) {
  EXPECT_EQ(run(""), 2);
  EXPECT_EQ(run("no-such-command"), 2);
  EXPECT_EQ(run("--help"), 0);
  EXPECT_EQ(run("--version"), 0);
}

}  // namespace
