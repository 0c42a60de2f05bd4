// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A model's weights by role, wherever they come from: a Hugging Face folder, a GGUF file, or a
// synthetic geometry. Tensors stay memory-mapped; a backend asks for each once while loading and
// copies or keeps the view. Example: KVTOLL_TRY(auto checkpoint, open_checkpoint("models/scribe"));
// KVTOLL_TRY(auto w, checkpoint->tensor(WeightRole::kQ, 0));
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/dtype.h"
#include "kvtoll/core/result.h"
#include "kvtoll/model/config.h"

namespace kvtoll {

enum class WeightRole : uint8_t {
  kEmbedding,  // [vocab, hidden]
  kFinalNorm,  // [hidden]
  kLmHead,     // [vocab, hidden]; the embedding when tied
  kAttnNorm,   // [hidden]
  kQ,
  kK,
  kV,  // [q_width, hidden], [kv_width, hidden] twice; always in Hugging Face's row order
       // (half-split RoPE)
  kQBias,
  kKBias,
  kVBias,  // [q_width], [kv_width] twice
  kQNorm,
  kKNorm,  // [head_dim], Qwen3
  kO,
  kOBias,    // [hidden, q_width], [hidden]
  kFfnNorm,  // [hidden]
  kGate,
  kUp,
  kDown,  // [ffn, hidden] twice, [hidden, ffn]
  kGateBias,
  kUpBias,
  kDownBias,
};
std::string_view weight_role_name(WeightRole role);
Shape weight_shape(const ModelConfig& config, WeightRole role);
// The roles a layer (layer >= 0) or the rest of the model (layer == -1) has, by family and options.
std::vector<WeightRole> weight_roles(const ModelConfig& config, int layer);

// A tensor and what keeps its memory alive.
struct HostTensor {
  TensorView view;
  std::shared_ptr<const void> owner;
};

// Synthetic weights are a pure function (core/rng.h), so a GPU backend can make them in place:
//   element i of (role, layer) = round_to_dtype(offset + scale * random_symmetric(seed, stream,
//   i)).
struct SyntheticRule {
  uint64_t seed = 0;
  uint64_t stream = 0;
  float scale = 0.0f;   // matrices: sqrt(3 / in); biases and norms: see synthetic.cc
  float offset = 0.0f;  // 1 for norms
};

// How many tensors of a file, and how many bytes, are stored in one type ("BF16", "Q4_K").
struct StoredType {
  std::string name;
  int tensors = 0;
  Bytes bytes;
};

class Checkpoint {
 public:
  virtual ~Checkpoint() = default;
  const ModelConfig& config() const { return config_; }
  const std::string& source() const { return source_; }  // path or spec, for records
  DType dtype() const { return dtype_; }                 // the dtype most weights are stored in
  // False for a file that has the metadata but not the weights (a GGUF head).
  virtual bool has_weights() const = 0;
  // Why there are none and what to do; empty where there are.
  virtual std::string weights_problem() const { return {}; }
  // What is stored, most bytes first; empty for synthetic checkpoints.
  virtual std::vector<StoredType> stored_types() const { return {}; }
  // Errors: kInput naming file and tensor when missing, of the wrong shape or outside the file.
  // Float dtypes only, as stored. GGUF's quantized blocks are decoded: exactly for `blocks_as`
  // kF32, else rounded to that dtype (a tensor with a value that does not fit fp16 comes as fp32).
  virtual Result<HostTensor> tensor(WeightRole role, int layer,
                                    DType blocks_as = DType::kF16) const = 0;
  // Set only for synthetic checkpoints.
  virtual std::optional<SyntheticRule> synthetic(WeightRole role, int layer) const {
    (void)role, (void)layer;
    return std::nullopt;
  }

 protected:
  ModelConfig config_;
  std::string source_;
  DType dtype_ = DType::kF16;
};

// spec: a folder, a .gguf file, a hub id in the local hub cache, or synthetic:GEOMETRY[:seed=N].
// Errors: kInput with the cure. A checkpoint without weights opens; require_weights() is what
// commands that need them call.
Result<std::shared_ptr<const Checkpoint>> open_checkpoint(const std::string& spec);
Result<void> require_weights(const Checkpoint& checkpoint);

// Built-in geometries of `synthetic:`.
const std::vector<ModelConfig>& synthetic_geometries();

}  // namespace kvtoll
