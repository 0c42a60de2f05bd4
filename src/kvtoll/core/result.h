// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value, or an error that tells the user what to do. Use it for everything that user
// or file input can cause; programmer errors are KVTOLL_CHECK (check.h). Example: KVTOLL_TRY(auto
// config, read_config(path));
#pragma once

#include <fmt/core.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace kvtoll {

// The value of each kind is the exit code of the command that meets it (docs/architecture.md).
enum class ErrorKind : int {
  kFailed = 1,       // the work was done, but some of it failed
  kUsage = 2,        // wrong words on the command line
  kInput = 3,        // an input file that cannot be used
  kMachine = 4,      // the machine lacks what was asked for, or an output cannot be written
  kOutOfMemory = 5,  // device or host memory ran out: a result (`oom`), not an exit code of its own
  kUnsupported =
      6,  // a combination the real library or our kernels refuse: a result (`unsupported`)
  kInterrupted = 130,
};

struct Error {
  ErrorKind kind = ErrorKind::kFailed;
  std::string message;  // says what is wrong, where, and the cure

  int exit_code() const {
    switch (kind) {
      case ErrorKind::kOutOfMemory:
      case ErrorKind::kUnsupported:
        return static_cast<int>(ErrorKind::kMachine);
      default:
        return static_cast<int>(kind);
    }
  }
};

template <class T>
using Result = tl::expected<T, Error>;

template <class... Args>
tl::unexpected<Error> make_error(ErrorKind kind, fmt::format_string<Args...> text, Args&&... args) {
  return tl::unexpected<Error>(Error{kind, fmt::format(text, std::forward<Args>(args)...)});
}
template <class... Args>
tl::unexpected<Error> input_error(fmt::format_string<Args...> text, Args&&... args) {
  return make_error(ErrorKind::kInput, text, std::forward<Args>(args)...);
}
template <class... Args>
tl::unexpected<Error> usage_error(fmt::format_string<Args...> text, Args&&... args) {
  return make_error(ErrorKind::kUsage, text, std::forward<Args>(args)...);
}
template <class... Args>
tl::unexpected<Error> machine_error(fmt::format_string<Args...> text, Args&&... args) {
  return make_error(ErrorKind::kMachine, text, std::forward<Args>(args)...);
}

#define KVTOLL_CONCAT_(a, b) a##b
#define KVTOLL_CONCAT(a, b) KVTOLL_CONCAT_(a, b)
// Declares or assigns `target` from a Result, or returns its error.
#define KVTOLL_TRY(target, ...) \
  KVTOLL_TRY_(KVTOLL_CONCAT(kvtoll_try_, __COUNTER__), target, __VA_ARGS__)
#define KVTOLL_TRY_(name, target, ...)                              \
  auto name = (__VA_ARGS__);                                        \
  if (!name) return tl::unexpected<Error>(std::move(name).error()); \
  target = *std::move(name)
// The same for Result<void>.
#define KVTOLL_TRY_VOID(...)                                                                    \
  do {                                                                                          \
    auto kvtoll_try_result = (__VA_ARGS__);                                                     \
    if (!kvtoll_try_result) return tl::unexpected<Error>(std::move(kvtoll_try_result).error()); \
  } while (false)

}  // namespace kvtoll
