// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/byte_alphabet.h"

#include <array>

#include "kvtoll/model/unicode.h"

namespace kvtoll {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char32_t, 256> character{};
  std::array<int16_t, 0x144> byte{};  // by character; -1: not of the alphabet
};

constexpr Alphabet make_alphabet() {
  Alphabet a;
  for (int16_t& b : a.byte) b = -1;
  char32_t next = 0x100;
  for (int b = 0; b < 256; ++b) {
    a.character[b] = stands_for_itself(b) ? static_cast<char32_t>(b) : next++;
    a.byte[a.character[b]] = static_cast<int16_t>(b);
  }
  return a;
}

constexpr Alphabet kAlphabet = make_alphabet();
static_assert(kAlphabet.character[' '] == 0x120 && kAlphabet.character['\n'] == 0x10A);
static_assert(kAlphabet.byte[0x143] == 0xAD);

}  // namespace

std::string byte_to_text(uint8_t byte) {
  std::string text;
  append_utf8(text, kAlphabet.character[byte]);
  return text;
}

std::optional<std::string> text_to_bytes(std::string_view valid_text) {
  std::string bytes;
  bytes.reserve(valid_text.size());
  for (size_t i = 0; i < valid_text.size();) {
    const CodePoint c = code_point_at(valid_text, i);
    if (c.value >= kAlphabet.byte.size() || kAlphabet.byte[c.value] < 0) return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byte[c.value]);
    i += c.length;
  }
  return bytes;
}

}  // namespace kvtoll
