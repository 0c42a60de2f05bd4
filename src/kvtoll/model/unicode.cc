// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "kvtoll/core/check.h"

namespace kvtoll {
namespace {

struct CodePointRange {
  char32_t first, last;
};
#include "kvtoll/model/unicode_tables.inc"

bool contains(std::span<const CodePointRange> ranges, char32_t c) {
  const auto at = std::lower_bound(ranges.begin(), ranges.end(), c,
                                   [](const CodePointRange& r, char32_t x) { return r.last < x; });
  return at != ranges.end() && at->first <= c;
}

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Lead {
  int continuation;   // bytes that must follow; -1: not the start of a character
  uint8_t low, high;  // range of the first of them (Unicode table 3-7)
};

constexpr Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {0, 0, 0};
  if (byte < 0xC2) return {-1, 0, 0};
  if (byte < 0xE0) return {1, 0x80, 0xBF};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte < 0xF0) return {2, 0x80, 0xBF};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte < 0xF4) return {3, 0x80, 0xBF};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {-1, 0, 0};
}

CharClass class_of_category(int32_t code_point) {
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::kSpace;
    case UTF8PROC_CATEGORY_CN:  // unassigned, as far as this utf8proc knows
      if (contains(kYoungerLetters, static_cast<char32_t>(code_point))) return CharClass::kLetter;
      if (contains(kYoungerNumbers, static_cast<char32_t>(code_point))) return CharClass::kNumber;
      return CharClass::kOther;
    default:
      // The controls with the White_Space property.
      return (code_point >= 9 && code_point <= 13) || code_point == 0x85 ? CharClass::kSpace
                                                                         : CharClass::kOther;
  }
}

int combining_class(int32_t c) { return utf8proc_get_property(c)->combining_class; }

// Full canonical decomposition, marks not yet in order.
std::vector<int32_t> decompose(std::string_view text) {
  constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
  std::vector<int32_t> out;
  out.reserve(text.size());
  std::array<utf8proc_int32_t, 32> parts;  // the longest canonical decomposition has 4
  int last_boundary = 0;
  for (size_t pos = 0; pos < text.size();) {
    const CodePoint c = code_point_at(text, pos);
    const auto n = utf8proc_decompose_char(static_cast<int32_t>(c.value), parts.data(),
                                           parts.size(), kOptions, &last_boundary);
    KVTOLL_CHECK(n >= 0 && n <= static_cast<int>(parts.size()), "decomposition of U+{:04X}: {}",
                 static_cast<uint32_t>(c.value), n);
    out.insert(out.end(), parts.begin(), parts.begin() + n);
    pos += c.length;
  }
  return out;
}

// Decompose, order the marks, compose. The library's own ordering takes quadratic time, so that a
// few hundred thousand marks in a row would stop us for minutes.
void append_nfc(std::string& out, std::string_view text) {
  std::vector<int32_t> points = decompose(text);
  const auto is_mark = [](int32_t c) { return combining_class(c) != 0; };
  for (auto at = points.begin(); at != points.end();) {
    at = std::find_if(at, points.end(), is_mark);
    const auto end = std::find_if_not(at, points.end(), is_mark);
    std::stable_sort(at, end,
                     [](int32_t a, int32_t b) { return combining_class(a) < combining_class(b); });
    at = end;
  }
  constexpr auto kOptions = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  const auto n = utf8proc_normalize_utf32(points.data(),
                                          static_cast<utf8proc_ssize_t>(points.size()), kOptions);
  KVTOLL_CHECK(n >= 0, "utf8proc_normalize_utf32: {}", utf8proc_errmsg(n));
  for (utf8proc_ssize_t i = 0; i < n; ++i) append_utf8(out, static_cast<char32_t>(points[i]));
}

}  // namespace

Utf8Step utf8_step(std::string_view text, size_t pos) {
  const Lead lead = lead_of(static_cast<uint8_t>(text[pos]));
  if (lead.continuation < 0) return {1, false, false};
  for (int i = 1; i <= lead.continuation; ++i) {
    if (pos + i >= text.size()) return {i, false, true};
    const auto byte = static_cast<uint8_t>(text[pos + i]);
    const bool good = i == 1 ? byte >= lead.low && byte <= lead.high : (byte & 0xC0) == 0x80;
    if (!good) return {i, false, false};
  }
  return {lead.continuation + 1, true, false};
}

bool is_valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<uint8_t>(text[i]) < 0x80) {
      ++i;
      continue;
    }
    const Utf8Step step = utf8_step(text, i);
    if (!step.valid) return false;
    i += step.length;
  }
  return true;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Utf8Step step = utf8_step(text, i);
    out += step.valid ? text.substr(i, step.length) : kReplacement;
    i += step.length;
  }
  return out;
}

CodePoint code_point_at(std::string_view valid_text, size_t pos) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(valid_text[pos + i]); };
  const auto low6 = [&](size_t i) { return static_cast<char32_t>(byte(i) & 0x3F); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1Fu) << 6 | low6(1), 2};
  if (lead < 0xF0) return {(lead & 0x0Fu) << 12 | low6(1) << 6 | low6(2), 3};
  return {(lead & 0x07u) << 18 | low6(1) << 12 | low6(2) << 6 | low6(3), 4};
}

void append_utf8(std::string& out, char32_t code_point) {
  std::array<utf8proc_uint8_t, 4> bytes;
  const auto n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes.data());
  out.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(n));
}

CharClass char_class(char32_t code_point) {
  static const std::array<CharClass, 128> kAscii = [] {
    std::array<CharClass, 128> table;
    for (int c = 0; c < 128; ++c) table[c] = class_of_category(c);
    return table;
  }();
  if (code_point < 128) return kAscii[code_point];
  return class_of_category(static_cast<int32_t>(code_point));
}

bool is_word_character(char32_t c) {
  // Alphabetic, marks, decimal digits, connector punctuation, join controls (UTS 18, Annex C).
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      break;
  }
  const bool circled_or_squared = (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
                                  (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
  return char_class(c) == CharClass::kLetter || circled_or_squared || c == 0x200C || c == 0x200D;
}

std::string nfc(std::string_view valid_text) {
  const auto may_change = [](char c) { return static_cast<uint8_t>(c) >= 0xCC; };
  if (std::none_of(valid_text.begin(), valid_text.end(), may_change))  // all below U+0300
    return std::string(valid_text);
  std::string out;
  out.reserve(valid_text.size());
  size_t done = 0;
  for (size_t pos = 0; pos < valid_text.size();) {
    const CodePoint c = code_point_at(valid_text, pos);
    if (contains(kPlainStarters, c.value)) {
      append_nfc(out, valid_text.substr(done, pos - done));
      out += valid_text.substr(pos, c.length);
      done = pos + c.length;
    }
    pos += c.length;
  }
  append_nfc(out, valid_text.substr(done));
  return out;
}

}  // namespace kvtoll
