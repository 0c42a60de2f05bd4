// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Small string helpers of the graders: no regular expressions (std::regex recurses on long input),
// UTF-8 by hand.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kvtoll {

void replace_all(std::string& text, std::string_view from, std::string_view to);
std::vector<std::string_view> split(std::string_view text, std::string_view separator);
std::string_view trim(std::string_view text);
std::string lower_ascii(std::string_view text);
inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Bytes of the UTF-8 character at the front of a text that is not empty; 1 for an invalid byte.
size_t utf8_length(std::string_view text);
size_t utf8_count(std::string_view text);

// Position of the brace that closes text[open] == '{', or npos. An escaped brace does not count.
size_t matching_brace(std::string_view text, size_t open);

}  // namespace kvtoll
