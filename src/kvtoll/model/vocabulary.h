// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Token texts by id and ids by text; every id from 0 to size() - 1 has exactly one text, and every
// text one id. Texts are as the tokenizer's file writes them (byte alphabet).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kvtoll/core/result.h"

namespace kvtoll {

class Vocabulary {
 public:
  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;
  Vocabulary(const Vocabulary&) = delete;  // the index views the texts
  Vocabulary& operator=(const Vocabulary&) = delete;
  // Pairs of text and id, in any order. Errors: kInput, `where` named, for an id given twice, an id
  // without a token below the highest one, a negative id, a text with two ids, or no token at all.
  static Result<Vocabulary> make(std::vector<std::pair<std::string, int64_t>> tokens,
                                 const std::string& where);

  int size() const { return static_cast<int>(texts_.size()); }
  const std::string& text(int32_t id) const { return texts_[static_cast<size_t>(id)]; }
  std::optional<int32_t> find(std::string_view text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::vector<std::string> texts_;
  std::unordered_map<std::string_view, int32_t> ids_;  // views into texts_
};

}  // namespace kvtoll
