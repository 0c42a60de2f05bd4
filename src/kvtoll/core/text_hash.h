// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// 64-bit FNV-1a: names of files, hashes of prompts, keys of configurations. Not for adversaries.
// Example: text_hash("") == "cbf29ce484222325"
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace kvtoll {

constexpr uint64_t fnv1a(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
  return hash;
}

// As 16 hexadecimal digits.
inline std::string text_hash(std::string_view text) { return fmt::format("{:016x}", fnv1a(text)); }

}  // namespace kvtoll
