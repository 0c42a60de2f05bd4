// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Which category a kernel belongs to: a table of name patterns (kernel_categories.cc), not code. It
// knows our own kernels and those of the stacks that people run, so that a trace made elsewhere
// reads in the same eight words. Example: classify("rms_norm_kernel").category.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace kvtoll::profiler {

enum class Category : uint8_t {
  kAttention,
  kFfn,
  kDequantization,
  kElementwise,
  kNormalization,
  kMemory,
  kSampling,
  kOther,
};
inline constexpr std::array<std::string_view, 8> kCategoryNames = {
    "attention",     "ffn",    "dequantization", "elementwise",
    "normalization", "memory", "sampling",       "other"};
constexpr std::string_view category_name(Category c) {
  return kCategoryNames[static_cast<size_t>(c)];
}

struct KernelClass {
  Category category = Category::kOther;
  std::string_view part;  // finer name ("attention.core"), empty where the category says it all
  bool known = false;     // false: no pattern matched, the name is listed to the user
};

// kName: the whole name. kPrefix: its start. kContains: anywhere in the demangled text. kTriton:
// anywhere in the name of a kernel that PyTorch's compiler made of several operators ("triton_..."
// with the operators' names). All ignore case.
enum class Match : uint8_t { kName, kPrefix, kContains, kTriton };

struct KernelPattern {
  std::string_view stack;  // whose kernels: "kvtoll", "pytorch", "vllm", "llama.cpp", ...
  Match match;
  std::string_view pattern;
  Category category;
  std::string_view part;
};

// In order of precedence: the first row that matches decides.
std::span<const KernelPattern> kernel_patterns();

KernelClass classify(std::string_view kernel);

// Corrects the class by what the host was doing: quantized caches made of generic kernels
// ("..._dequantize" in the call stack), and matrix products whose name does not tell the layer
// ("...self_attn..." -> attention). An empty context changes nothing.
KernelClass refine(const KernelClass& by_name, std::string_view context);

// True when refine() could use this module, operator, function or range name.
bool is_context(std::string_view frame);

}  // namespace kvtoll::profiler
