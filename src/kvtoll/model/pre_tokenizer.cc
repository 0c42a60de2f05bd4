// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/pre_tokenizer.h"

#include <array>
#include <string>
#include <utility>

#include "kvtoll/model/unicode.h"

namespace kvtoll {
namespace {

// A character and where it ends; past the end of the text: length 0 and a class that equals none.
struct Peek {
  char32_t value = 0;
  CharClass kind = CharClass::kOther;
  size_t end = 0;
  bool exists = false;

  bool is(CharClass wanted) const { return exists && kind == wanted; }
  bool is_newline() const { return exists && (value == '\r' || value == '\n'); }
};

Peek peek(std::string_view text, size_t pos) {
  if (pos >= text.size()) return {};
  const CodePoint c = code_point_at(text, pos);
  return {c.value, char_class(c.value), pos + c.length, true};
}

// The end of the run of `kind` that starts at pos.
size_t run_end(std::string_view text, size_t pos, CharClass kind, int at_most = INT32_MAX) {
  for (Peek c; at_most > 0 && (c = peek(text, pos)).is(kind); --at_most) pos = c.end;
  return pos;
}

// 's 't 're 've 'm 'll 'd after the apostrophe at pos: its end, or pos. Ignoring case, U+017F
// (long s) folds to s.
size_t contraction_end(std::string_view text, size_t pos, bool ignore_case) {
  const auto letter = [&](size_t at) -> char32_t {
    const Peek c = peek(text, at);
    if (!c.exists) return 0;
    if (ignore_case && c.value == 0x17F) return 's';
    return ignore_case && c.value >= 'A' && c.value <= 'Z' ? c.value + 32 : c.value;
  };
  const char32_t first = letter(pos + 1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return peek(text, pos + 1).end;
  const char32_t second = first < 128 ? letter(pos + 2) : 0;
  const bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') ||
                   (first == 'l' && second == 'l');
  return two ? pos + 3 : pos;
}

// \s+(?!\S)|\s+ : a run of spaces leaves its last one to the word behind it.
size_t space_end(std::string_view text, size_t pos) {
  size_t end = pos, last = pos;
  for (Peek c; (c = peek(text, end)).is(CharClass::kSpace); end = c.end) last = end;
  return end == text.size() || last == pos ? end : last;
}

size_t next_gpt2(std::string_view text, size_t pos) {
  const Peek c = peek(text, pos);
  if (c.value == '\'') {
    const size_t end = contraction_end(text, pos, false);
    if (end != pos) return end;
  }
  const Peek start = c.value == ' ' ? peek(text, c.end) : c;
  if (start.exists && start.kind != CharClass::kSpace) return run_end(text, start.end, start.kind);
  return space_end(text, pos);
}

size_t next_qwen2(std::string_view text, size_t pos, int max_digits) {
  const Peek c = peek(text, pos);
  if (c.value == '\'') {
    const size_t end = contraction_end(text, pos, true);
    if (end != pos) return end;
  }
  if (c.kind == CharClass::kLetter) return run_end(text, c.end, CharClass::kLetter);
  if (c.kind == CharClass::kNumber) return run_end(text, pos, CharClass::kNumber, max_digits);
  const Peek next = peek(text, c.end);
  if (!c.is_newline() && next.is(CharClass::kLetter))
    return run_end(text, next.end, CharClass::kLetter);
  const Peek start = c.value == ' ' ? next : c;
  if (start.is(CharClass::kOther)) {
    size_t end = run_end(text, start.end, CharClass::kOther);
    for (Peek n; (n = peek(text, end)).is_newline();) end = n.end;
    return end;
  }
  size_t newline = pos;  // \s*[\r\n]+ : up to the last newline of the run
  for (Peek n = c; n.is(CharClass::kSpace); n = peek(text, n.end))
    if (n.is_newline()) newline = n.end;
  return newline != pos ? newline : space_end(text, pos);
}

size_t next_digits(std::string_view text, size_t pos, int max_digits) {
  if (peek(text, pos).is(CharClass::kNumber))
    return run_end(text, pos, CharClass::kNumber, max_digits);
  for (Peek c; (c = peek(text, pos)).exists && c.kind != CharClass::kNumber;) pos = c.end;
  return pos;
}

constexpr std::array<std::pair<std::string_view, SplitKind>, 6> kPatterns = {{
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitKind::kQwen2},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     SplitKind::kLlama3},
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
     SplitKind::kGpt2},
    {R"('(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
     SplitKind::kGpt2},
    {R"(\p{N})", SplitKind::kDigits},
    {R"(\p{N}+)", SplitKind::kDigitRuns},
}};

}  // namespace

std::optional<SplitKind> split_kind_of_pattern(std::string_view pattern) {
  for (const auto& [known, kind] : kPatterns)
    if (pattern == known) return kind;
  return std::nullopt;
}

size_t next_piece(SplitKind kind, std::string_view text, size_t pos) {
  switch (kind) {
    case SplitKind::kWhole:
      return text.size();
    case SplitKind::kDigits:
      return next_digits(text, pos, 1);
    case SplitKind::kDigitRuns:
      return next_digits(text, pos, INT32_MAX);
    case SplitKind::kGpt2:
      return next_gpt2(text, pos);
    case SplitKind::kQwen2:
      return next_qwen2(text, pos, 1);
    case SplitKind::kLlama3:
      return next_qwen2(text, pos, 3);
  }
  return text.size();
}

void PreTokenizer::run(size_t stage, std::string_view text, const Sink& sink) const {
  if (text.empty()) return;
  if (stage == stages_.size()) return sink(text);
  std::string prefixed;
  if (stages_[stage].prefix_space && text.front() != ' ') {
    prefixed.append(1, ' ').append(text);
    text = prefixed;
  }
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = next_piece(stages_[stage].kind, text, pos);
    run(stage + 1, text.substr(pos, end - pos), sink);
    pos = end;
  }
}

}  // namespace kvtoll
