// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The 256 printable characters that byte-level BPE vocabularies write bytes with (GPT-2): printable
// Latin-1 stands for itself, the other 68 bytes for U+0100 on, in order. So " the" is "\u0120the".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvtoll {

std::string byte_to_text(uint8_t byte);
// The bytes a token's text stands for; nothing if a character is not of the alphabet.
std::optional<std::string> text_to_bytes(std::string_view valid_text);

}  // namespace kvtoll
