// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/devices.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

extern char** environ;

namespace kvtoll::studies {
namespace {

// The same program again, its table (stdout) dropped: the caller prints one for all.
Result<pid_t> start(const std::vector<std::string>& command) {
  std::vector<std::string> words = command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    return machine_error("cannot start a process for {}: {}", command.back(), std::strerror(error));
  return pid;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return static_cast<int>(ErrorKind::kFailed);
  return WIFEXITED(status) ? WEXITSTATUS(status) : static_cast<int>(ErrorKind::kFailed);
}

}  // namespace

std::vector<std::string> device_command(const std::vector<std::string>& argv, int device, int index,
                                        int count) {
  std::vector<std::string> command;
  for (size_t i = 0; i < argv.size(); ++i) {
    if (argv[i] == "--devices")
      ++i;  // and its value
    else if (!argv[i].starts_with("--devices="))
      command.push_back(argv[i]);
  }
  command.push_back("--quiet");
  command.push_back(fmt::format("--shard={}/{}", index, count));
  command.push_back(fmt::format("--devices={}", device));
  return command;
}

Result<int> run_on_devices(const std::vector<int>& devices, const std::vector<std::string>& argv) {
  for (const std::string& word : argv)
    if (word.starts_with("--shard"))
      return usage_error("--devices with several devices makes its own shards; drop {}", word);
  std::vector<pid_t> children;
  Result<int> worst = 0;
  for (size_t i = 0; i < devices.size() && worst; ++i) {
    auto pid = start(device_command(argv, devices[i], static_cast<int>(i) + 1,
                                    static_cast<int>(devices.size())));
    if (pid)
      children.push_back(*pid);
    else
      worst = tl::unexpected<Error>(pid.error());
  }
  for (const pid_t pid : children) {
    const int code = wait_for(pid);
    if (worst) worst = std::max(*worst, code);
  }
  return worst;
}

}  // namespace kvtoll::studies
