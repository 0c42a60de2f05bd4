// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/bpe_tokenizer.h"

#include "kvtoll/model/byte_alphabet.h"
#include "kvtoll/model/unicode.h"

namespace kvtoll {
namespace {

class BpeTokenizer final : public Tokenizer {
 public:
  explicit BpeTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {
    std::vector<AddedToken> raw, normalized;
    special_.resize(static_cast<size_t>(parts_.vocabulary.size()));
    bytes_.reserve(special_.size());
    for (int32_t id = 0; id < parts_.vocabulary.size(); ++id) {
      const std::string& text = parts_.vocabulary.text(id);
      bytes_.push_back(text_to_bytes(text).value_or(text));
    }
    for (AddedToken& token : parts_.added) {
      special_[token.id] = token.special;
      bytes_[token.id] = token.content;
      if (token.normalized && parts_.nfc) token.content = nfc(token.content);
      (token.normalized ? normalized : raw).push_back(token);
    }
    raw_ = AddedTokenMatcher(std::move(raw));
    normalized_ = AddedTokenMatcher(std::move(normalized));
  }

  std::vector<int32_t> encode(std::string_view text) const override {
    std::string repaired;
    if (!is_valid_utf8(text)) text = repaired = valid_utf8(text);
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 3 + 1);
    raw_.split(text, [&](std::string_view part, int32_t id) {
      if (id >= 0)
        ids.push_back(id);
      else
        encode_part(part, ids);
    });
    return ids;
  }

  std::string decode(const std::vector<int32_t>& ids, bool skip_special) const override {
    std::string text;
    for (int32_t id : ids) {
      if (id < 0 || id >= vocab_size() || (skip_special && special_[id])) continue;
      text += bytes_[id];
    }
    return text;
  }

  int vocab_size() const override { return parts_.vocabulary.size(); }
  std::optional<int32_t> token_id(std::string_view token) const override {
    return parts_.vocabulary.find(token);
  }
  std::optional<int32_t> bos() const override { return parts_.bos; }
  bool adds_bos() const override { return parts_.adds_bos; }
  std::vector<int32_t> eos() const override { return parts_.eos; }
  const std::string& chat_template() const override { return parts_.chat_template; }

 private:
  // Text between the added tokens that are matched raw.
  void encode_part(std::string_view part, std::vector<int32_t>& ids) const {
    std::string normal;
    if (parts_.nfc) part = normal = nfc(part);
    normalized_.split(part, [&](std::string_view gap, int32_t id) {
      if (id >= 0) return ids.push_back(id);
      parts_.pre_tokenizer.split(gap,
                                 [&](std::string_view piece) { parts_.bpe.encode(piece, ids); });
    });
  }

  TokenizerParts parts_;
  AddedTokenMatcher raw_, normalized_;
  std::vector<std::string> bytes_;  // by id
  std::vector<bool> special_;       // by id
};

}  // namespace

std::shared_ptr<const Tokenizer> make_bpe_tokenizer(TokenizerParts parts) {
  return std::make_shared<BpeTokenizer>(std::move(parts));
}

}  // namespace kvtoll
