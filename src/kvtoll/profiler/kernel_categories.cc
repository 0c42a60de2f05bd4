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

bool starts(std::string_view text, std::string_view pattern) {
  return text.size() >= pattern.size() &&
         std::equal(pattern.begin(), pattern.end(), text.begin(), same);
}
bool contains(std::string_view text, std::string_view pattern) {
  return std::search(text.begin(), text.end(), pattern.begin(), pattern.end(), same) != text.end();
}

bool matches(const KernelPattern& row, std::string_view kernel) {
  switch (row.match) {
    case Match::kName:
      return kernel.size() == row.pattern.size() && starts(kernel, row.pattern);
    case Match::kPrefix:
      return starts(kernel, row.pattern);
    case Match::kContains:
      return contains(kernel, row.pattern);
    case Match::kTriton:
      return starts(kernel, "triton_") && contains(kernel, row.pattern);
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
  if (context.empty()) return by_name;
  const bool product = by_name.part == "ffn.matmul";
  for (const ContextPattern& row : kContexts)
    if ((product || row.any_kernel) && contains(context, row.pattern))
      return {row.category, row.part, true};
  return by_name;
}

bool is_context(std::string_view frame) {
  return std::any_of(std::begin(kContexts), std::end(kContexts),
                     [&](const ContextPattern& row) { return contains(frame, row.pattern); });
}

}  // namespace kvtoll::profiler
