// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Cuts text into the pieces inside which BPE may merge. The splitters of the known models, written
// out by hand: same pieces as their regular expressions, without a regex engine. A pre-tokenizer is
// a list of stages, each cutting what the one before left. Example: PreTokenizer pre({{SplitKind::
// kQwen2}}); pre.split("Hello world", [](std::string_view piece) {...});   // "Hello", " world"
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace kvtoll {

enum class SplitKind : uint8_t {
  kWhole,      // no cut
  kDigits,     // every \p{N} alone
  kDigitRuns,  // runs of \p{N} apart from the rest
  kGpt2,       // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  kQwen2,      // (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|
               // ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
  kLlama3,     // kQwen2 with \p{N}{1,3}
};

struct SplitStage {
  SplitKind kind = SplitKind::kWhole;
  bool prefix_space = false;  // put a space before a piece that does not start with one
};

// The splitter whose regular expression this is, in any of the spellings the models use.
std::optional<SplitKind> split_kind_of_pattern(std::string_view pattern);
// The end of the piece that starts at `pos` < text.size(); text is valid UTF-8.
size_t next_piece(SplitKind kind, std::string_view text, size_t pos);

class PreTokenizer {
 public:
  using Sink = std::function<void(std::string_view)>;
  explicit PreTokenizer(std::vector<SplitStage> stages = {}) : stages_(std::move(stages)) {}
  // Calls `sink` with each piece, in order; together they are the text (and the prefix spaces).
  void split(std::string_view valid_text, const Sink& sink) const { run(0, valid_text, sink); }

 private:
  void run(size_t stage, std::string_view text, const Sink& sink) const;
  std::vector<SplitStage> stages_;
};

}  // namespace kvtoll
