// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Text to token ids and back: byte-level BPE as in tokenizer.json (Hugging Face) or GGUF metadata.
// Example: KVTOLL_TRY(auto tokenizer, open_tokenizer("models/scribe"));  auto ids =
// tokenizer->encode("Hello");
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/result.h"

namespace kvtoll {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Added tokens (such as <think>) are matched first, longest match, on the raw text. No bos is
  // added.
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;
  // Bytes of the tokens, concatenated; special tokens are skipped unless asked for. May end in an
  // incomplete UTF-8 sequence.
  virtual std::string decode(const std::vector<int32_t>& ids, bool skip_special = false) const = 0;
  virtual int vocab_size() const = 0;  // with added tokens
  virtual std::optional<int32_t> token_id(
      std::string_view token) const = 0;  // exact token text, e.g. "<|im_end|>"
  virtual std::optional<int32_t> bos() const = 0;
  virtual std::vector<int32_t> eos() const = 0;
  // The model's chat template text (Jinja), empty if it has none; chat.h recognizes it.
  virtual const std::string& chat_template() const = 0;
};

// model: as for open_checkpoint (a folder with tokenizer.json, or a .gguf). Errors: kInput with
// file, place and cure.
Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const std::string& model);

// Streams decoded text: holds back bytes until they form whole UTF-8 characters.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)) {}
  std::string push(int32_t id);  // the text that became complete
  std::string finish();          // what is left, invalid bytes as U+FFFD

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::string held_;
};

}  // namespace kvtoll
