// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cuda/weights.h"

#include <algorithm>

#include "kvtoll/backends/cuda/slab.h"
#include "kvtoll/backends/cuda/synthetic.h"

namespace kvtoll::cuda {
namespace {

constexpr int64_t kStagingBytes = 64 << 20;

bool has(const ModelConfig& config, WeightRole role, int layer) {
  const auto roles = weight_roles(config, layer);
  return std::ranges::find(roles, role) != roles.end();
}

void plan_layer(LayerWeights& w, const ModelConfig& c, int layer, Slab& slab) {
  const int64_t qkv = c.q_width() + 2 * c.kv_width(), hidden = c.hidden, ffn = c.ffn;
  const auto vector = [&](float** pointer, WeightRole role, int64_t n) {
    if (has(c, role, layer)) slab.add(pointer, n * 4);
  };
  slab.add(&w.qkv, qkv * hidden * 2);
  slab.add(&w.o, hidden * c.q_width() * 2);
  slab.add(&w.gate_up, 2 * ffn * hidden * 2);
  slab.add(&w.down, hidden * ffn * 2);
  vector(&w.attn_norm, WeightRole::kAttnNorm, hidden);
  vector(&w.ffn_norm, WeightRole::kFfnNorm, hidden);
  vector(&w.q_norm, WeightRole::kQNorm, c.head_dim);
  vector(&w.k_norm, WeightRole::kKNorm, c.head_dim);
  vector(&w.qkv_bias, WeightRole::kQBias, qkv);
  vector(&w.o_bias, WeightRole::kOBias, hidden);
  vector(&w.gate_up_bias, WeightRole::kGateBias, 2 * ffn);
  vector(&w.down_bias, WeightRole::kDownBias, hidden);
}

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, DType dtype, DeviceMemory& memory, const Stream& stream)
      : checkpoint_(checkpoint), dtype_(dtype), memory_(memory), stream_(stream) {}

  // Rows of `role` go to `to` + (first_row + r * step) rows of the same width.
  Result<void> matrix(void* to, WeightRole role, int layer, int64_t first_row = 0, int64_t step = 1,
                      int64_t half = 0) {
    const Shape shape = weight_shape(checkpoint_.config(), role);
    WeightTarget target{
        static_cast<char*>(to) + first_row * shape[1] * 2, dtype_, shape[0], shape[1], step, half};
    return fill(target, role, layer, checkpoint_.dtype());
  }

  // A vector as fp32, rounded to the weights' dtype; nothing when the model lacks it.
  Result<void> vector(float* to, WeightRole role, int layer, int64_t first = 0, int64_t step = 1,
                      int64_t half = 0) {
    if (!to || !has(checkpoint_.config(), role, layer)) return {};
    WeightTarget target{
        to + first, DType::kF32, weight_shape(checkpoint_.config(), role).elements(),
        1,          step,        half};
    return fill(target, role, layer, dtype_);
  }

  Result<void> layer(const LayerWeights& w, int i) {
    using enum WeightRole;
    const ModelConfig& c = checkpoint_.config();
    const int64_t k = c.q_width(), v = c.q_width() + c.kv_width(), half = c.head_dim / 2;
    KVTOLL_TRY_VOID(matrix(w.qkv, kQ, i, 0, 1, half));
    KVTOLL_TRY_VOID(matrix(w.qkv, kK, i, k, 1, half));
    KVTOLL_TRY_VOID(matrix(w.qkv, kV, i, v));
    KVTOLL_TRY_VOID(matrix(w.o, kO, i));
    KVTOLL_TRY_VOID(matrix(w.gate_up, kGate, i, 0, 2));
    KVTOLL_TRY_VOID(matrix(w.gate_up, kUp, i, 1, 2));
    KVTOLL_TRY_VOID(matrix(w.down, kDown, i));
    KVTOLL_TRY_VOID(vector(w.attn_norm, kAttnNorm, i));
    KVTOLL_TRY_VOID(vector(w.ffn_norm, kFfnNorm, i));
    KVTOLL_TRY_VOID(vector(w.q_norm, kQNorm, i));
    KVTOLL_TRY_VOID(vector(w.k_norm, kKNorm, i));
    KVTOLL_TRY_VOID(vector(w.qkv_bias, kQBias, i, 0, 1, half));
    KVTOLL_TRY_VOID(vector(w.qkv_bias, kKBias, i, k, 1, half));
    KVTOLL_TRY_VOID(vector(w.qkv_bias, kVBias, i, v));
    KVTOLL_TRY_VOID(vector(w.o_bias, kOBias, i));
    KVTOLL_TRY_VOID(vector(w.gate_up_bias, kGateBias, i, 0, 2));
    KVTOLL_TRY_VOID(vector(w.gate_up_bias, kUpBias, i, 1, 2));
    return vector(w.down_bias, kDownBias, i);
  }

 private:
  // `as`: what a value is rounded to before the target's dtype.
  Result<void> fill(const WeightTarget& target, WeightRole role, int layer, DType as) {
    if (const auto rule = checkpoint_.synthetic(role, layer)) {
      launch_synthetic(*rule, checkpoint_.dtype(), as, target, stream_.get());
      return {};
    }
    KVTOLL_TRY(const HostTensor tensor, checkpoint_.tensor(role, layer, dtype_));
    if (!staging_) {
      KVTOLL_TRY(staging_, memory_.allocate(Bytes(kStagingBytes), MemoryTag::kWorkspace));
    }
    const int64_t size = dtype_size(tensor.view.dtype);
    const int64_t unit = std::max<int64_t>(1, 2 * target.half);  // whole heads
    const int64_t rows_at_once =
        std::max<int64_t>(1, kStagingBytes / (target.cols * size * unit)) * unit;
    for (int64_t row = 0; row < target.rows; row += rows_at_once) {
      WeightTarget part = target;
      part.rows = std::min(rows_at_once, target.rows - row);
      part.to = static_cast<char*>(target.to) +
                row * target.row_step * target.cols * dtype_size(target.dtype);
      const int64_t bytes = part.rows * target.cols * size;
      KVTOLL_CUDA(cudaMemcpyAsync(
          staging_.get(), static_cast<const char*>(tensor.view.data) + row * target.cols * size,
          static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_.get()));
      const DType keep = target.dtype == DType::kF32 ? as : tensor.view.dtype;
      launch_convert(staging_.get(), tensor.view.dtype, keep, part, stream_.get());
      stream_.synchronize();  // the staging buffer and the tensor's owner are needed until here
    }
    return {};
  }

  const Checkpoint& checkpoint_;
  DType dtype_;
  DeviceMemory& memory_;
  const Stream& stream_;
  DeviceBuffer staging_;
};

}  // namespace

Result<Weights> load_weights(const Checkpoint& checkpoint, DType dtype, DeviceMemory& memory,
                             const Stream& stream) {
  KVTOLL_TRY_VOID(require_weights(checkpoint));
  const ModelConfig& c = checkpoint.config();
  Weights w;
  w.layers.resize(static_cast<size_t>(c.layers));
  Slab slab;
  for (int i = 0; i < c.layers; ++i) plan_layer(w.layers[static_cast<size_t>(i)], c, i, slab);
  slab.add(&w.embedding, int64_t(c.vocab) * c.hidden * 2);
  if (!c.tied_embeddings) slab.add(&w.lm_head, int64_t(c.vocab) * c.hidden * 2);
  slab.add(&w.final_norm, int64_t(c.hidden) * 4);
  slab.add(&w.inv_freq, int64_t(c.head_dim / 2) * 4);
  auto allocated = slab.allocate(memory, MemoryTag::kWeights);
  if (!allocated)
    return make_error(ErrorKind::kOutOfMemory, "{}: the weights take {:.3f} GB; {}",
                      checkpoint.source(), static_cast<double>(slab.bytes().value) * 1e-9,
                      allocated.error().message);
  w.memory = std::move(*allocated);

  Loader loader(checkpoint, dtype, memory, stream);
  for (int i = 0; i < c.layers; ++i)
    KVTOLL_TRY_VOID(loader.layer(w.layers[static_cast<size_t>(i)], i));
  KVTOLL_TRY_VOID(loader.matrix(w.embedding, WeightRole::kEmbedding, -1));
  if (c.tied_embeddings)
    w.lm_head = w.embedding;
  else
    KVTOLL_TRY_VOID(loader.matrix(w.lm_head, WeightRole::kLmHead, -1));
  KVTOLL_TRY_VOID(loader.vector(w.final_norm, WeightRole::kFinalNorm, -1));
  const RopeTable rope = rope_table(c);
  KVTOLL_CUDA(cudaMemcpyAsync(w.inv_freq, rope.inv_freq.data(), rope.inv_freq.size() * 4,
                              cudaMemcpyHostToDevice, stream.get()));
  w.attention_factor = rope.attention_factor;
  stream.synchronize();
  return w;
}

}  // namespace kvtoll::cuda
