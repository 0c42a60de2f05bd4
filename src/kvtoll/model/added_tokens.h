// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Tokens that are cut out of the text before BPE sees it (<think>, <|im_start|>): leftmost, longest
// match, with the flags of Hugging Face's AddedToken. Example: matcher.split(text,
// [](std::string_view gap, int32_t id) {...});   // id -1: text between added tokens
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace kvtoll {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool special = false;                 // left out of decoded text on request
  bool normalized = false;              // matched in the normalized text instead of the raw text
  bool single_word = false;             // only where no word character touches it
  bool lstrip = false, rstrip = false;  // takes the white space before, behind it along
};

class AddedTokenMatcher {
 public:
  AddedTokenMatcher() = default;
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);  // none empty

  using Sink = std::function<void(std::string_view text, int32_t id)>;
  // Calls `sink` with the parts of the text in order: (matched text, id) or (text between, -1),
  // never empty.
  void split(std::string_view valid_text, const Sink& sink) const;

 private:
  // Index of the longest token that starts at pos, or -1.
  int32_t longest_at(std::string_view text, size_t pos) const;

  std::vector<AddedToken> tokens_;
  std::array<bool, 256> starts_{};              // by first byte
  std::unordered_map<uint64_t, int32_t> next_;  // trie: node * 256 + byte -> node
  std::vector<int32_t> token_of_node_ = {-1};   // index into tokens_; -1: none ends here
};

}  // namespace kvtoll
