// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/registry.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace kvtoll {
namespace {

constexpr std::string_view kQuantoSource = "optimum-quanto 0.2.7 through transformers 5.17";
constexpr std::string_view kHqqSource = "hqq 0.2.8 through transformers 5.17";
constexpr int kDefaultGroup = 64;

struct Entry {
  KvFormat format;
  KvFormatInfo info;
};

Entry exact(std::string name, DType dtype, std::string description) {
  const int bits = 8 * dtype_size(dtype);
  KvFormat format{.name = name, .scheme = KvScheme::kNone, .dtype = dtype, .bits = bits};
  return {format, {name, std::move(description), "none", "IEEE 754", static_cast<double>(bits)}};
}

// Scale and shift (or zero) in a 16-bit cache dtype add 32 bits a group.
Entry quanto(int bits) {
  KvFormat format{.name = "int" + std::to_string(bits) + "-quanto",
                  .scheme = KvScheme::kQuanto,
                  .bits = bits,
                  .group = kDefaultGroup};
  return {format,
          {format.name, "asymmetric min/max groups with a float shift",
           "group (64), axis (0; -1), residual (128)", std::string(kQuantoSource),
           bits + 32.0 / kDefaultGroup}};
}

Entry hqq(int bits) {
  KvFormat format{.name = "int" + std::to_string(bits) + "-hqq",
                  .scheme = KvScheme::kHqq,
                  .bits = bits,
                  .group = kDefaultGroup};
  // 3 bit: ten codes in an int32, 64 rows padded to 70.
  const double payload = bits == 3 ? 7.0 * 32 / kDefaultGroup : bits;
  return {format,
          {format.name, "asymmetric groups, zero tuned by a half-quadratic solver",
           "group (64), axis (0; 1), residual (128), solver (fp16; fp32)", std::string(kHqqSource),
           payload + 32.0 / kDefaultGroup}};
}

const std::vector<Entry>& entries() {
  static const std::vector<Entry> table = {
      exact("fp16", DType::kF16, "no quantization, half precision"),
      exact("bf16", DType::kBF16, "no quantization, bfloat16"),
      exact("fp32", DType::kF32, "no quantization, single precision"),
      hqq(8),
      hqq(4),
      hqq(3),
      hqq(2),
      hqq(1),
      quanto(4),
      quanto(2)};
  return table;
}

constexpr std::array<std::string_view, 11> kReserved = {
    "q8_0",      "q5_1",     "q4_0",     "fp8-e4m3", "fp8-e5m2",    "int4-kivi",
    "int2-kivi", "int4-rot", "int3-rot", "int2-rot", "int4-prebias"};

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

const KvFormat* find_kv_format(std::string_view name) {
  for (const Entry& entry : entries())
    if (entry.format.name == name) return &entry.format;
  return nullptr;
}

bool is_reserved_kv_format(std::string_view name) {
  return std::find(kReserved.begin(), kReserved.end(), name) != kReserved.end();
}

std::string kv_format_names() {
  std::string names;
  for (const Entry& entry : entries()) names += (names.empty() ? "" : ", ") + entry.format.name;
  return names;
}

std::string nearest_kv_format(std::string_view name) {
  if (name.size() > 32) return "";
  std::string best;
  size_t best_distance = 5;  // farther is no typing slip
  for (const Entry& entry : entries()) {
    const size_t distance = edit_distance(name, entry.format.name);
    if (distance < best_distance) best_distance = distance, best = entry.format.name;
  }
  return best;
}

const std::vector<KvFormatInfo>& kv_formats() {
  static const std::vector<KvFormatInfo> infos = [] {
    std::vector<KvFormatInfo> list;
    for (const Entry& entry : entries()) list.push_back(entry.info);
    return list;
  }();
  return infos;
}

}  // namespace kvtoll
