// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/added_tokens.h"

#include <algorithm>

#include "kvtoll/model/unicode.h"

namespace kvtoll {
namespace {

uint64_t edge(int32_t node, char byte) {
  return static_cast<uint64_t>(node) * 256 + static_cast<uint8_t>(byte);
}

// Start of the character that ends at `end` > 0.
size_t previous(std::string_view text, size_t end) {
  do --end;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80);
  return end;
}

bool is_space_at(std::string_view text, size_t pos) {
  return char_class(code_point_at(text, pos).value) == CharClass::kSpace;
}

bool touches_word(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && is_word_character(code_point_at(text, previous(text, begin)).value)) ||
         (end < text.size() && is_word_character(code_point_at(text, end).value));
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const std::string& content = tokens_[i].content;
    int32_t node = 0;
    starts_[static_cast<uint8_t>(content.front())] = true;
    for (char byte : content) {
      const auto [at, is_new] =
          next_.emplace(edge(node, byte), static_cast<int32_t>(token_of_node_.size()));
      if (is_new) token_of_node_.push_back(-1);
      node = at->second;
    }
    if (token_of_node_[node] < 0) token_of_node_[node] = static_cast<int32_t>(i);
  }
}

int32_t AddedTokenMatcher::longest_at(std::string_view text, size_t pos) const {
  if (!starts_[static_cast<uint8_t>(text[pos])]) return -1;
  int32_t node = 0, longest = -1;
  for (; pos < text.size(); ++pos) {
    const auto found = next_.find(edge(node, text[pos]));
    if (found == next_.end()) break;
    node = found->second;
    if (token_of_node_[node] >= 0) longest = token_of_node_[node];
  }
  return longest;
}

void AddedTokenMatcher::split(std::string_view text, const Sink& sink) const {
  size_t done = 0;
  for (size_t pos = 0; pos < text.size();) {
    const int32_t index = longest_at(text, pos);
    if (index < 0) {
      ++pos;
      continue;
    }
    const AddedToken& token = tokens_[index];
    size_t begin = pos, end = pos + token.content.size();
    pos = end;  // the search goes on behind the token itself, whatever it strips
    if (token.single_word && touches_word(text, begin, end)) continue;
    if (token.lstrip)
      while (begin > done && is_space_at(text, previous(text, begin)))
        begin = previous(text, begin);
    if (token.rstrip)
      while (end < text.size() && is_space_at(text, end)) end += code_point_at(text, end).length;
    if (done < begin) sink(text.substr(done, begin - done), -1);
    sink(text.substr(begin, end - begin), token.id);
    done = end;
  }
  if (done < text.size()) sink(text.substr(done), -1);
}

}  // namespace kvtoll
