// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The strings of tests/data/tokenizer/golden.json and what Hugging Face's `tokenizers` makes of
// them, as hashes (tools/golden_tokenizer.py). Example: GoldenStrings g;  g.string(17);
#pragma once

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "kvtoll/core/rng.h"
#include "kvtoll/model/unicode.h"

namespace kvtoll::test {

class GoldenStrings {
 public:
  GoldenStrings() {
    std::ifstream file(std::string(KVTOLL_TEST_DATA) + "/tokenizer/golden.json");
    json_ = nlohmann::json::parse(file);
  }

  uint64_t seed() const { return json_.at("seed"); }
  uint64_t count() const { return json_.at("count"); }

  // A chain of fragments, each a text or one code point of a range.
  std::string string(uint64_t number) const { return string(seed(), number); }
  std::string string(uint64_t seed, uint64_t number) const {
    Rng rng(seed, number);
    std::string out;
    const auto& groups = json_.at("groups");
    for (uint64_t n = 1 + rng.below(14); n > 0; --n) {
      const auto& group = groups[rng.below(groups.size())];
      const auto& fragment = group[rng.below(group.size())];
      if (fragment.is_string()) {
        out += fragment.get<std::string>();
      } else {
        const auto first = fragment[0].get<uint32_t>(), last = fragment[1].get<uint32_t>();
        append_utf8(out, first + static_cast<uint32_t>(rng.below(last - first + 1)));
      }
    }
    return out;
  }

  std::vector<std::string> hashes(const std::string& tokenizer) const {
    return split(json_.at("hashes").at(tokenizer));
  }
  std::vector<std::string> pieces(const std::string& splitter) const {
    return split(json_.at("pieces").at(splitter));
  }
  std::vector<std::string> nfc() const { return split(json_.at("nfc")); }

 private:
  static std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> hashes;
    for (size_t i = 0; i < text.size(); i += 8) hashes.push_back(text.substr(i, 8));
    return hashes;
  }
  nlohmann::json json_;
};

// FNV-1a, 32 bits, over the values as little-endian 32-bit words.
inline std::string hash_values(std::span<const int32_t> values) {
  uint32_t h = 0x811C9DC5u;
  for (const int32_t value : values)
    for (int shift = 0; shift < 32; shift += 8)
      h = (h ^ (static_cast<uint32_t>(value) >> shift & 0xFFu)) * 0x01000193u;
  return fmt::format("{:08x}", h);
}

}  // namespace kvtoll::test
