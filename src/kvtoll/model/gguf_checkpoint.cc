// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/gguf_checkpoint.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <set>

#include "kvtoll/core/half.h"
#include "kvtoll/core/thread_pool.h"
#include "kvtoll/model/gguf.h"
#include "kvtoll/model/gguf_config.h"
#include "kvtoll/model/gguf_quant.h"
#include "kvtoll/model/round_to_half.h"

namespace kvtoll {
namespace {

// Below this many elements starting threads costs more than it saves.
constexpr int64_t kParallelElements = 1 << 20;

std::string_view local_name(WeightRole role) {
  constexpr std::string_view kNames[] = {
      "token_embd.weight",  "output_norm.weight", "output.weight",      "attn_norm.weight",
      "attn_q.weight",      "attn_k.weight",      "attn_v.weight",      "attn_q.bias",
      "attn_k.bias",        "attn_v.bias",        "attn_q_norm.weight", "attn_k_norm.weight",
      "attn_output.weight", "attn_output.bias",   "ffn_norm.weight",    "ffn_gate.weight",
      "ffn_up.weight",      "ffn_down.weight",    "ffn_gate.bias",      "ffn_up.bias",
      "ffn_down.bias"};
  return kNames[static_cast<size_t>(role)];
}

std::string tensor_name(const ModelConfig& config, WeightRole role, int layer) {
  if (role == WeightRole::kLmHead && config.tied_embeddings) role = WeightRole::kEmbedding;
  if (layer < 0) return std::string(local_name(role));
  return fmt::format("blk.{}.{}", layer, local_name(role));
}

// The dtype of a type that needs no decoding.
std::optional<DType> plain_dtype(const GgufType& type) {
  if (type.name == "F32") return DType::kF32;
  if (type.name == "F16") return DType::kF16;
  if (type.name == "BF16") return DType::kBF16;
  return std::nullopt;
}

// llama.cpp's Llama rotates neighbouring pairs, so its converter interleaves the two halves of each
// head of q and k: row 2 j + t of a head holds what Hugging Face has in row t (head_dim / 2) + j.
// Returns the stored row of Hugging Face's row.
int64_t stored_row(int64_t row, int head_dim) {
  const int64_t head = row / head_dim, in_head = row % head_dim, half = head_dim / 2;
  return head * head_dim + 2 * (in_head % half) + in_head / half;
}

bool is_permuted(const ModelConfig& c, WeightRole role) {
  using enum WeightRole;
  return c.family == ModelFamily::kLlama &&
         (role == kQ || role == kK || role == kQBias || role == kKBias);
}

// Rounds into out; false when a finite value does not fit.
bool store(std::span<const float> values, DType dtype, void* out) {
  if (dtype == DType::kF32) {
    std::memcpy(out, values.data(), values.size_bytes());
    return true;
  }
  auto* bits = static_cast<uint16_t*>(out);
  const float* from = values.data();
  const size_t n = values.size();
  if (dtype == DType::kBF16) {
    for (size_t i = 0; i < n; ++i) bits[i] = float_to_bfloat16_bits(from[i]);
    return true;
  }
  uint32_t overflows = 0;
  for (size_t i = 0; i < n; ++i) {
    bits[i] = fast_half_bits(from[i]);
    const uint32_t a = std::bit_cast<uint32_t>(from[i]) & 0x7fffffffu;
    overflows |= static_cast<uint32_t>(a >= 0x477ff000u) & static_cast<uint32_t>(a < 0x7f800000u);
  }
  return overflows == 0;
}

// Splits rows over threads where that pays.
void for_rows(int64_t rows, int64_t width, const std::function<void(int64_t, int64_t)>& body) {
  if (rows * width < kParallelElements)
    body(0, rows);
  else
    ThreadPool().parallel_for(rows, 1, body);
}

class GgufCheckpoint final : public Checkpoint {
 public:
  GgufCheckpoint(ModelConfig config, std::shared_ptr<const GgufFile> file)
      : file_(std::move(file)) {
    config_ = std::move(config);
    source_ = file_->path().string();
  }

  bool has_weights() const override { return file_->tensors_present(); }
  std::string weights_problem() const override {
    if (has_weights()) return {};
    return fmt::format(
        "holds {} bytes of {}: only the head of a GGUF file, or a download that broke "
        "off; fetch the whole file",
        file_->file_bytes(), file_->needed_bytes());
  }

  Result<HostTensor> tensor(WeightRole role, int layer, DType blocks_as) const override {
    KVTOLL_TRY_VOID(require_weights(*this));
    KVTOLL_TRY(const GgufTensor* stored, find(role, layer));
    const bool permuted = is_permuted(config_, role);
    const auto plain = plain_dtype(*stored->type);
    if (plain && !permuted)
      return HostTensor{{stored->blocks.data(), *plain, stored->shape}, file_};
    if (plain) return decode(*stored, *plain, true);
    auto decoded = decode(*stored, blocks_as, permuted);
    return decoded ? decoded : decode(*stored, DType::kF32, permuted);
  }

  std::vector<StoredType> stored_types() const override {
    std::map<std::string_view, StoredType> by_name;
    for (const auto& [name, tensor] : file_->tensors()) {
      StoredType& entry = by_name[tensor.type->name];
      entry.name = tensor.type->name;
      ++entry.tensors;
      entry.bytes += Bytes(static_cast<int64_t>(tensor.end - tensor.begin));
    }
    std::vector<StoredType> out;
    for (auto& [name, entry] : by_name) out.push_back(std::move(entry));
    std::sort(out.begin(), out.end(),
              [](const StoredType& a, const StoredType& b) { return a.bytes > b.bytes; });
    return out;
  }

  // Every tensor the network needs is there with its shape and a type that can be decoded, and the
  // file has no other tensor, whose part in the network we would leave out.
  Result<void> check_all() {
    std::set<std::string> used = {"rope_freqs.weight"};
    for (int layer = -1; layer < config_.layers; ++layer)
      for (WeightRole role : weight_roles(config_, layer)) {
        KVTOLL_TRY_VOID(find(role, layer));
        used.insert(tensor_name(config_, role, layer));
      }
    for (const auto& [name, tensor] : file_->tensors())
      if (!used.contains(std::string(name)))
        return input_error("{}: tensor {} has no place in a {} network that kvtoll knows", source_,
                           name.substr(0, 120), family_name(config_.family));
    const std::string most = stored_types().front().name;
    dtype_ = most == "F32" ? DType::kF32 : most == "BF16" ? DType::kBF16 : DType::kF16;
    return {};
  }

 private:
  Result<const GgufTensor*> find(WeightRole role, int layer) const {
    const std::string name = tensor_name(config_, role, layer);
    const GgufTensor* found = file_->find_tensor(name);
    if (found == nullptr)
      return input_error("{}: no tensor {}; the file is incomplete or of another family", source_,
                         name);
    const Shape want = weight_shape(config_, role);
    if (found->shape != want)
      return input_error("{}: {} has shape {}, the metadata asks for {}", source_, name,
                         found->shape.to_string(), want.to_string());
    if (!can_decode_gguf(*found->type))
      return input_error(
          "{}: {} has type {}; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q5_K and Q6_K can be read",
          source_, name, found->type->name);
    return found;
  }

  // Decodes row by row in Hugging Face's order. Error: a value does not fit dtype.
  Result<HostTensor> decode(const GgufTensor& stored, DType dtype, bool permuted) const {
    const int64_t rows = stored.shape[0];
    const int64_t width = stored.shape.elements() / rows;
    const size_t row_bytes = stored.blocks.size() / static_cast<size_t>(rows);
    const auto item = static_cast<size_t>(dtype_size(dtype));
    auto values = std::make_shared<std::vector<std::byte>>(
        static_cast<size_t>(stored.shape.elements()) * item);
    std::atomic<bool> fits = true;
    for_rows(rows, width, [&](int64_t begin, int64_t end) {
      std::vector<float> row(static_cast<size_t>(width));
      for (int64_t r = begin; r < end; ++r) {
        const int64_t from = permuted ? stored_row(r, config_.head_dim) : r;
        decode_gguf(*stored.type,
                    stored.blocks.subspan(static_cast<size_t>(from) * row_bytes, row_bytes), row);
        if (!store(row, dtype, values->data() + static_cast<size_t>(r * width) * item))
          fits = false;
      }
    });
    if (!fits) return input_error("{}: a value does not fit {}", source_, dtype_name(dtype));
    const void* data = values->data();
    return HostTensor{{data, dtype, stored.shape}, std::move(values)};
  }

  std::shared_ptr<const GgufFile> file_;
};

}  // namespace

Result<std::shared_ptr<const Checkpoint>> open_gguf_checkpoint(const ModelPath& model) {
  KVTOLL_TRY(auto file, GgufFile::open(model.path));
  KVTOLL_TRY(ModelConfig config, gguf_config(*file));
  config.name = model.name;
  auto checkpoint = std::make_shared<GgufCheckpoint>(std::move(config), std::move(file));
  KVTOLL_TRY_VOID(checkpoint->check_all());
  return checkpoint;
}

}  // namespace kvtoll
