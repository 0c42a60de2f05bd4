// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The name of a KV format and what it stands for. Grammar (docs/formats.md):
//   SPEC = KV {"@" LAYERS "=" KV};  KV = FORMAT | FORMAT "/" FORMAT (keys/values);  FORMAT = NAME
//   [":" key=value {"," key=value}]
// Example: KVTOLL_TRY(auto policy, KvPolicy::parse("int4-quanto:group=32@0,-1=fp16"));
// policy.at(layer, 28).key.bits
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/dtype.h"
#include "kvtoll/core/result.h"

namespace kvtoll {

enum class KvScheme : uint8_t { kNone, kQuanto, kHqq };
enum class HqqSolver : uint8_t {
  kFp16,
  kFp32
};  // kFp16: what the library does on CUDA; kFp32: on a CPU

// How one tensor (the keys or the values of a layer) is stored.
struct KvFormat {
  std::string name = "fp16";  // registry name without options, as in contract: "int4-quanto"
  KvScheme scheme = KvScheme::kNone;
  DType dtype = DType::kF16;  // kNone: what is stored
  int bits = 16;
  int group = 64;  // q_group_size
  int axis = 0;    // quanto: 0 or -1; HQQ: 0 or 1
  HqqSolver solver = HqqSolver::kFp16;
  // Hugging Face's residual_length; nullopt: the run's default (128 for Hugging Face formats).
  std::optional<int> residual;

  bool quantized() const { return scheme != KvScheme::kNone; }
  // NAME[:option=value,...]. Errors: kUsage, as KvPolicy::parse.
  static Result<KvFormat> parse(std::string_view spec);
  std::string to_string() const;  // name and the options that differ from the name's defaults
  bool operator==(const KvFormat&) const = default;
};

struct KvPair {
  KvFormat key, value;
  bool quantized() const { return key.quantized() || value.quantized(); }
  bool operator==(const KvPair&) const = default;
};

// A whole model's policy: a base and per-layer overrides, later ones win.
class KvPolicy {
 public:
  // Errors: kUsage; an unknown name suggests the nearest, an unknown option names the known ones.
  static Result<KvPolicy> parse(std::string_view spec);

  const std::string& text() const { return text_; }  // as the user wrote it
  const KvPair& base() const { return base_; }
  // Negative layer numbers in overrides count from `layers`. Errors of layers out of range come
  // from resolve().
  Result<std::vector<KvPair>> resolve(int layers) const;

 private:
  struct Override {
    std::vector<std::pair<int, int>> layers;  // inclusive ranges, may be negative
    KvPair pair;
  };
  std::string text_;
  KvPair base_;
  std::vector<Override> overrides_;
};

struct KvFormatInfo {
  std::string name, description, options, source;
  double bits_per_value;  // with scales, at the default group
};
const std::vector<KvFormatInfo>& kv_formats();  // the registry, for `kvtoll formats`

}  // namespace kvtoll
