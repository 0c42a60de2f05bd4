// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The file name of a configuration: what makes two measurements the same one. Example:
//   record_file_name({.model = "scribe", .kv = "int4-quanto", .new_tokens = 256})
//   -> "scribe.int4-quanto.n256.r128.cpu.json"
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace kvtoll::report {

inline constexpr int64_t kDefaultPromptTokens = 128;  // stands in a name only when another is used
inline constexpr int64_t kDefaultResidual = 128;      // Hugging Face's residual_length
inline constexpr std::array<std::string_view, 5> kPaths = {"cpu", "hf", "materialize-graph",
                                                           "fused-eager", "fused"};

struct RecordKey {
  std::string model;  // the study's name for it, not its path
  std::string kv;     // format specification, as written
  int64_t new_tokens = 0;
  int64_t residual = kDefaultResidual;
  int64_t batch = 1;
  int64_t prompt_tokens = kDefaultPromptTokens;
  std::string path = "cpu";  // one of kPaths

  bool operator==(const RecordKey&) const = default;
};

// The path of a backend: "cpu", or for CUDA by attention ("materialize", "fused") and launch
// ("eager", "graph").
std::string record_path(std::string_view backend, std::string_view attention,
                        std::string_view launch);

// <model>.<kv>.n<new_tokens>.r<residual>[.b<batch>][.p<prompt>].<path>.json; characters outside
// A-Za-z0-9._=,- are percent-encoded. A part over 100 characters is cut and ends in a hash of the
// whole, so that the name fits every file system.
std::string record_file_name(const RecordKey& key);

// "A-Za-z0-9._=,-" stay, every other byte becomes %XX.
std::string percent_encode(std::string_view text);

}  // namespace kvtoll::report
