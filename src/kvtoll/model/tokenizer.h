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
  // added. Bytes that are not UTF-8 count as U+FFFD, as they do for Hugging Face.
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;
  // Bytes of the tokens, concatenated; special tokens are skipped unless asked for. May end in an
  // incomplete UTF-8 sequence.
  virtual std::string decode(const std::vector<int32_t>& ids, bool skip_special = false) const = 0;
  virtual int vocab_size() const = 0;  // with added tokens; every id below it has a token
  virtual std::optional<int32_t> token_id(
      std::string_view token) const = 0;  // exact token text, e.g. "<|im_end|>"
  virtual std::optional<int32_t> bos() const = 0;
  virtual bool adds_bos() const = 0;  // the model expects bos before raw text (Llama 3, R1-Distill)
  virtual std::vector<int32_t> eos() const = 0;  // every token that ends a reply
  // The model's chat template text (Jinja), empty if it has none; chat.h recognizes it.
  virtual const std::string& chat_template() const = 0;
};

// model: as for open_checkpoint (a folder with tokenizer.json, or a .gguf). Errors: kInput with
// file, place and cure.
Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const std::string& model);

// Ids as people write them: numbers between spaces, commas, line ends or brackets. Errors: kInput,
// `where` and the place named, for anything else and for an id that is not below vocab_size.
Result<std::vector<int32_t>> parse_token_ids(std::string_view text, int vocab_size,
                                             const std::string& where);

// Streams decoded text: holds back bytes until they form whole UTF-8 characters.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special = false)
      : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}
  std::string push(int32_t id);  // the text that became complete
  std::string finish();          // what is left, invalid bytes as U+FFFD

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  bool skip_special_;
  std::string held_;  // the start of a character, at most 3 bytes
};

}  // namespace kvtoll
