// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/kernel_categories.h"

#include <algorithm>
#include <cctype>

#include "kvtoll/profiler/kernel_patterns.inc"

namespace kvtoll::profiler {
namespace {

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
bool same(char a, char b) { return lower(a) == lower(b); }
bool word_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

size_t find_from(std::string_view text, std::string_view pattern, size_t from) {
  const auto it =
      std::search(text.begin() + from, text.end(), pattern.begin(), pattern.end(), same);
  return it == text.end() ? std::string_view::npos : static_cast<size_t>(it - text.begin());
}

bool matches_word(std::string_view text, std::string_view pattern) {
  for (size_t at = find_from(text, pattern, 0); at != std::string_view::npos;
       at = find_from(text, pattern, at + 1)) {
    const size_t end = at + pattern.size();
    if ((at == 0 || !word_char(text[at - 1])) && (end == text.size() || !word_char(text[end])))
      return true;
  }
  return false;
}

bool matches(const KernelPattern& row, std::string_view kernel) {
  const std::string_view p = row.pattern;
  switch (row.match) {
    case Match::kName:
      return kernel.size() == p.size() && std::equal(p.begin(), p.end(), kernel.begin(), same);
    case Match::kPrefix:
      return kernel.size() >= p.size() && std::equal(p.begin(), p.end(), kernel.begin(), same);
    case Match::kWord:
      return matches_word(kernel, p);
    case Match::kContains:
      return find_from(kernel, p, 0) != std::string_view::npos;
  }
  return false;
}

}  // namespace

std::span<const KernelPattern> kernel_patterns() { return kPatterns; }

KernelClass classify(std::string_view kernel) {
  for (const KernelPattern& row : kPatterns)
    if (matches(row, kernel)) return {row.category, row.part, true};
  return {};
}

KernelClass refine(const KernelClass& by_name, std::string_view context) {
  if (by_name.part != "ffn.matmul" || context.empty()) return by_name;
  for (const ContextPattern& row : kContexts)
    if (find_from(context, row.pattern, 0) != std::string_view::npos)
      return {row.category, row.part, true};
  return by_name;
}

}  // namespace kvtoll::profiler
