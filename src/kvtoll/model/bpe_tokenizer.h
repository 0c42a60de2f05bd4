// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The one implementation of Tokenizer, put together from parts that a reader (tokenizer_json,
// tokenizer_gguf) fills in.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kvtoll/model/added_tokens.h"
#include "kvtoll/model/bpe.h"
#include "kvtoll/model/pre_tokenizer.h"
#include "kvtoll/model/tokenizer.h"
#include "kvtoll/model/vocabulary.h"

namespace kvtoll {

struct TokenizerParts {
  Vocabulary vocabulary;  // added tokens included
  Bpe bpe;
  std::vector<AddedToken> added;  // each in the vocabulary, under its id
  PreTokenizer pre_tokenizer;
  bool nfc = false;  // normalize before the pre-tokenizer
  std::optional<int32_t> bos;
  bool adds_bos = false;
  std::vector<int32_t> eos;
  std::string chat_template;
};
std::shared_ptr<const Tokenizer> make_bpe_tokenizer(TokenizerParts parts);

// Reads FOLDER/tokenizer.json and, for bos, eos and the chat template, the files beside it. Errors:
// kInput with file, place and cure.
Result<std::shared_ptr<const Tokenizer>> read_tokenizer_json(const std::filesystem::path& folder);
// Reads the tokenizer.* metadata of a GGUF file. Errors: as above.
Result<std::shared_ptr<const Tokenizer>> read_tokenizer_gguf(const std::filesystem::path& file);

}  // namespace kvtoll
