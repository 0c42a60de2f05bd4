// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/checkpoint.h"

#include "kvtoll/core/check.h"
#include "kvtoll/model/gguf_checkpoint.h"
#include "kvtoll/model/hf_folder.h"
#include "kvtoll/model/model_path.h"
#include "kvtoll/model/synthetic.h"

namespace kvtoll {

std::string_view weight_role_name(WeightRole role) {
  constexpr std::string_view kNames[] = {
      "embedding", "final_norm", "lm_head", "attn_norm", "q",         "k",       "v",
      "q_bias",    "k_bias",     "v_bias",  "q_norm",    "k_norm",    "o",       "o_bias",
      "ffn_norm",  "gate",       "up",      "down",      "gate_bias", "up_bias", "down_bias"};
  return kNames[static_cast<size_t>(role)];
}

Shape weight_shape(const ModelConfig& c, WeightRole role) {
  switch (role) {
    case WeightRole::kEmbedding:
    case WeightRole::kLmHead:
      return {c.vocab, c.hidden};
    case WeightRole::kFinalNorm:
    case WeightRole::kAttnNorm:
    case WeightRole::kFfnNorm:
    case WeightRole::kOBias:
    case WeightRole::kDownBias:
      return {c.hidden};
    case WeightRole::kQ:
      return {c.q_width(), c.hidden};
    case WeightRole::kK:
    case WeightRole::kV:
      return {c.kv_width(), c.hidden};
    case WeightRole::kQBias:
      return {c.q_width()};
    case WeightRole::kKBias:
    case WeightRole::kVBias:
      return {c.kv_width()};
    case WeightRole::kQNorm:
    case WeightRole::kKNorm:
      return {c.head_dim};
    case WeightRole::kO:
      return {c.hidden, c.q_width()};
    case WeightRole::kGate:
    case WeightRole::kUp:
      return {c.ffn, c.hidden};
    case WeightRole::kDown:
      return {c.hidden, c.ffn};
    case WeightRole::kGateBias:
    case WeightRole::kUpBias:
      return {c.ffn};
  }
  KVTOLL_CHECK(false, "weight role {}", static_cast<int>(role));
  return {};
}

std::vector<WeightRole> weight_roles(const ModelConfig& c, int layer) {
  using enum WeightRole;
  if (layer < 0) return {kEmbedding, kFinalNorm, kLmHead};
  std::vector<WeightRole> roles = {kAttnNorm, kQ, kK, kV};
  const auto add = [&roles](bool wanted, std::initializer_list<WeightRole> more) {
    if (wanted) roles.insert(roles.end(), more);
  };
  add(c.qkv_bias, {kQBias, kKBias, kVBias});
  add(c.qk_norm, {kQNorm, kKNorm});
  add(true, {kO});
  add(c.o_bias, {kOBias});
  add(true, {kFfnNorm, kGate, kUp, kDown});
  add(c.mlp_bias, {kGateBias, kUpBias, kDownBias});
  return roles;
}

Result<std::shared_ptr<const Checkpoint>> open_checkpoint(const std::string& spec) {
  KVTOLL_TRY(const ModelPath model, resolve_model(spec));
  switch (model.source) {
    case ModelSource::kSynthetic:
      return open_synthetic(spec);
    case ModelSource::kGguf:
      return open_gguf_checkpoint(model);
    case ModelSource::kFolder:
      break;
  }
  return open_hf_folder(model, spec);
}

Result<void> require_weights(const Checkpoint& checkpoint) {
  if (checkpoint.has_weights()) return {};
  return input_error("{}: {}", checkpoint.source(), checkpoint.weights_problem());
}

}  // namespace kvtoll
