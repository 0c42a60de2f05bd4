// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cpu/weights.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

#include "kvtoll/backends/cpu/kernels.h"
#include "kvtoll/core/host.h"

namespace kvtoll::cpu {
namespace {

constexpr int64_t kBlock = 1 << 14;  // elements converted at a time

// Converts n elements between float dtypes, in parallel.
void convert(const TensorView& from, DType dtype, std::byte* to, ThreadPool& pool) {
  const auto* source = static_cast<const std::byte*>(from.data);
  pool.parallel_for(from.shape.elements(), kBlock, [&](int64_t begin, int64_t end) {
    if (from.dtype == dtype) {
      const int64_t size = dtype_size(dtype);
      std::memcpy(to + begin * size, source + begin * size,
                  static_cast<size_t>((end - begin) * size));
      return;
    }
    std::vector<float> block(static_cast<size_t>(kBlock));
    for (int64_t i = begin; i < end; i += kBlock) {
      const int64_t count = std::min(kBlock, end - i);
      widen(source + i * dtype_size(from.dtype), from.dtype, count, block.data());
      narrow(block.data(), count, dtype, to + i * dtype_size(dtype));
    }
  });
}

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, DType dtype, ThreadPool& pool)
      : checkpoint_(checkpoint), dtype_(dtype), pool_(pool) {}

  bool has(WeightRole role, int layer) const {
    const auto roles = weight_roles(checkpoint_.config(), layer);
    return std::ranges::find(roles, role) != roles.end();
  }

  // The roles' matrices below each other.
  Result<Matrix> matrix(std::initializer_list<WeightRole> roles, int layer) const {
    Matrix matrix{.dtype = dtype_};
    for (WeightRole role : roles) {
      const Shape shape = weight_shape(checkpoint_.config(), role);
      matrix.rows += shape[0];
      matrix.in = shape[1];
    }
    matrix.data.resize(matrix.bytes().value);
    std::byte* to = matrix.data.as<std::byte>();
    for (WeightRole role : roles) {
      KVTOLL_TRY(const HostTensor tensor, checkpoint_.tensor(role, layer, dtype_));
      convert(tensor.view, dtype_, to, pool_);
      to += tensor.view.shape.elements() * dtype_size(dtype_);
    }
    return matrix;
  }

  // The roles' vectors one after the other as fp32; a role that the model lacks gives zeros of its
  // length, and nothing at all when it lacks every one.
  Result<std::vector<float>> vector(std::initializer_list<WeightRole> roles, int layer) const {
    std::vector<float> values;
    if (std::ranges::none_of(roles, [&](WeightRole role) { return has(role, layer); }))
      return values;
    for (WeightRole role : roles) {
      const auto n = static_cast<size_t>(weight_shape(checkpoint_.config(), role).elements());
      const size_t at = values.size();
      values.resize(at + n, 0.0f);
      if (!has(role, layer)) continue;
      KVTOLL_TRY(const HostTensor tensor, checkpoint_.tensor(role, layer, dtype_));
      widen(tensor.view.data, tensor.view.dtype, static_cast<int64_t>(n), values.data() + at);
    }
    round_to(values.data(), static_cast<int64_t>(values.size()), dtype_);
    return values;
  }

  Result<LayerWeights> layer(int i) const {
    using enum WeightRole;
    LayerWeights w;
    KVTOLL_TRY(w.qkv, matrix({kQ, kK, kV}, i));
    KVTOLL_TRY(w.o, matrix({kO}, i));
    KVTOLL_TRY(w.gate_up, matrix({kGate, kUp}, i));
    KVTOLL_TRY(w.down, matrix({kDown}, i));
    KVTOLL_TRY(w.attn_norm, vector({kAttnNorm}, i));
    KVTOLL_TRY(w.ffn_norm, vector({kFfnNorm}, i));
    KVTOLL_TRY(w.q_norm, vector({kQNorm}, i));
    KVTOLL_TRY(w.k_norm, vector({kKNorm}, i));
    KVTOLL_TRY(w.qkv_bias, vector({kQBias, kKBias, kVBias}, i));
    KVTOLL_TRY(w.o_bias, vector({kOBias}, i));
    KVTOLL_TRY(w.gate_up_bias, vector({kGateBias, kUpBias}, i));
    KVTOLL_TRY(w.down_bias, vector({kDownBias}, i));
    return w;
  }

 private:
  const Checkpoint& checkpoint_;
  DType dtype_;
  ThreadPool& pool_;
};

Bytes vector_bytes(const std::vector<float>& v) {
  return Bytes(static_cast<int64_t>(v.size() * sizeof(float)));
}

bool is_vector(const ModelConfig& config, WeightRole role) {
  return weight_shape(config, role).rank == 1;
}

}  // namespace

Result<Weights> Weights::load(const Checkpoint& checkpoint, DType dtype, ThreadPool& pool) {
  KVTOLL_TRY_VOID(require_weights(checkpoint));
  const Bytes need = weight_bytes(checkpoint.config(), dtype), free = available_memory();
  if (free.value > 0 && need > free)
    return make_error(ErrorKind::kOutOfMemory,
                      "{}: the weights take {:.2f} GB in {} and {:.2f} GB of memory are free",
                      checkpoint.source(), static_cast<double>(need.value) * 1e-9,
                      dtype_name(dtype), static_cast<double>(free.value) * 1e-9);
  const Loader loader(checkpoint, dtype, pool);
  Weights weights;
  for (int i = 0; i < checkpoint.config().layers; ++i) {
    KVTOLL_TRY(LayerWeights layer, loader.layer(i));
    weights.layers.push_back(std::move(layer));
  }
  KVTOLL_TRY(weights.embedding, loader.matrix({WeightRole::kEmbedding}, -1));
  if (!checkpoint.config().tied_embeddings) {
    KVTOLL_TRY(weights.separate_lm_head, loader.matrix({WeightRole::kLmHead}, -1));
  }
  KVTOLL_TRY(weights.final_norm, loader.vector({WeightRole::kFinalNorm}, -1));
  return weights;
}

Bytes Weights::bytes() const {
  Bytes sum = embedding.bytes() + separate_lm_head.bytes() + vector_bytes(final_norm);
  for (const LayerWeights& w : layers) {
    for (const Matrix* m : {&w.qkv, &w.o, &w.gate_up, &w.down}) sum += m->bytes();
    for (const auto* v : {&w.attn_norm, &w.ffn_norm, &w.q_norm, &w.k_norm, &w.qkv_bias, &w.o_bias,
                          &w.gate_up_bias, &w.down_bias})
      sum += vector_bytes(*v);
  }
  return sum;
}

Bytes weight_bytes(const ModelConfig& config, DType dtype) {
  Bytes sum{};
  for (int layer = -1; layer < config.layers; ++layer)
    for (WeightRole role : weight_roles(config, layer)) {
      if (role == WeightRole::kLmHead && config.tied_embeddings) continue;
      const int64_t size = is_vector(config, role) ? int64_t{4} : dtype_size(dtype);
      sum += Bytes(weight_shape(config, role).elements() * size);
    }
  return sum;
}

}  // namespace kvtoll::cpu
