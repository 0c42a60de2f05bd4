// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/vocabulary.h"

#include <algorithm>

namespace kvtoll {

Result<Vocabulary> Vocabulary::make(std::vector<std::pair<std::string, int64_t>> tokens,
                                    const std::string& where) {
  if (tokens.empty()) return input_error("{}: the vocabulary is empty", where);
  std::sort(tokens.begin(), tokens.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
  Vocabulary vocabulary;
  vocabulary.texts_.reserve(tokens.size());
  vocabulary.ids_.reserve(tokens.size());
  int64_t expected = 0;
  for (auto& [text, id] : tokens) {
    if (id < 0) return input_error("{}: token '{}' has the id {}, below 0", where, text, id);
    if (id < expected)
      return input_error("{}: '{}' and '{}' both have the id {}", where, vocabulary.texts_.back(),
                         text, id);
    if (id > expected)
      return input_error("{}: no token has the id {}, but '{}' has {}: ids must leave no holes",
                         where, expected, text, id);
    vocabulary.texts_.push_back(std::move(text));
    const auto [at, is_new] =
        vocabulary.ids_.emplace(vocabulary.texts_.back(), static_cast<int32_t>(id));
    if (!is_new)
      return input_error("{}: token '{}' stands for two ids, {} and {}", where, at->first,
                         at->second, id);
    ++expected;
  }
  return vocabulary;
}

}  // namespace kvtoll
