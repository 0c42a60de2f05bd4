// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Golden tensors: a .safetensors file that tools/golden_formats.py wrote with the real
// optimum-quanto or hqq, compared number by number with this project's encoder and decoder.
// Example: KVTOLL_TRY(GoldenVerdict verdict, verify_golden("k.safetensors"));
//
// The file: metadata `kvtoll_golden` = "1", `format` (a format with its options), and the
// libraries' versions; tensors `input` and `dequantized` [kv_head, pos, dim] (or with a leading 1)
// in the cache dtype, `codes` [rows, cols] u8, `packed` (u8, or i32 for 3 bit), and per group
// `scale` and `shift` (quanto) or `step` and `zero` (HQQ) in the cache dtype.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "kvtoll/formats/codec.h"

namespace kvtoll {

struct GoldenDifference {
  std::string tensor;           // in which tensor of the file
  std::string index;            // where the first one is: "[3, 17]"
  float expected = 0, got = 0;  // library, ours
  int64_t count = 0, of = 0;    // numbers that differ, numbers compared
};

struct GoldenVerdict {
  KvFormat format;
  DType dtype = DType::kF16;
  KvShape shape;
  std::map<std::string, std::string> metadata;
  int64_t compared = 0;  // numbers
  // Codes that the library leaves undefined (NaN, or a group of range zero): not compared.
  int64_t undefined_codes = 0;
  std::vector<GoldenDifference> differences;  // at most one per tensor; empty: equal
  std::string note;                           // a known reason, if there is one
  bool equal() const { return differences.empty(); }
};

// Equal means: the same bits, but -0 equals 0 and NaN equals NaN. Errors: kInput naming file,
// tensor and what is wrong with it.
Result<GoldenVerdict> verify_golden(const std::filesystem::path& path);

}  // namespace kvtoll
