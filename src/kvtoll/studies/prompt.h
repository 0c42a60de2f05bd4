// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The one fixed prompt of a measurement: a built-in text in the model's own tokens, or token ids
// drawn once from a fixed seed for models without a tokenizer. Example:
//   Prompt prompt = fixed_prompt("models/scribe", vocab, 128);  prompt.tokens.size() == 128
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kvtoll::studies {

struct Prompt {
  std::vector<int32_t> tokens;
  std::string kind;     // "text" or "seeded"
  std::string warning;  // why a model that should have a tokenizer has none; empty otherwise
};

// source: as for open_tokenizer. vocab: ids stay below it. tokens: exactly so many.
Prompt fixed_prompt(const std::string& source, int vocab, int64_t tokens);

}  // namespace kvtoll::studies
