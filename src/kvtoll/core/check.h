// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// KVTOLL_CHECK(condition, "format", values...): programmer errors. Always on, prints the values and
// the place, aborts.
#pragma once

#include <fmt/core.h>

#include <string>

namespace kvtoll::detail {
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& message);
}  // namespace kvtoll::detail

#define KVTOLL_CHECK(condition, ...)                                                            \
  do {                                                                                          \
    if (!(condition)) [[unlikely]]                                                              \
      ::kvtoll::detail::check_failed(__FILE__, __LINE__, #condition, fmt::format(__VA_ARGS__)); \
  } while (false)
