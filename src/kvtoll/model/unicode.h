// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The Unicode that a tokenizer needs: UTF-8 steps, the character classes of \p{L}, \p{N}, \s and
// \w, and NFC. Example: for (size_t i = 0; i < text.size();) { auto c = code_point_at(text, i); i
// += c.length; }
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kvtoll {

// One step through bytes that may not be UTF-8.
struct Utf8Step {
  int length;      // bytes of the sequence, or of the longest ill-formed start (Unicode 3.9, the
                   // practice of replacing maximal subparts), >= 1
  bool valid;      // a whole character
  bool truncated;  // the text ends inside what is a character so far
};
Utf8Step utf8_step(std::string_view text, size_t pos);

bool is_valid_utf8(std::string_view text);
// Each ill-formed part replaced by U+FFFD: what Python's decode(errors="replace") and Rust's
// from_utf8_lossy give.
std::string valid_utf8(std::string_view text);

struct CodePoint {
  char32_t value;
  int length;  // bytes in UTF-8
};
CodePoint code_point_at(std::string_view valid_text, size_t pos);
void append_utf8(std::string& out, char32_t code_point);

enum class CharClass : uint8_t { kOther, kLetter, kNumber, kSpace };  // rest, \p{L}, \p{N}, \s
CharClass char_class(char32_t code_point);
bool is_word_character(char32_t code_point);  // \w

// Normalization form C of valid UTF-8, with the tables that Hugging Face's `tokenizers` normalizes
// with: they are of Unicode 9, so marks that are younger stay where they are.
std::string nfc(std::string_view valid_text);

}  // namespace kvtoll
