// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Making the backend, reserving memory, and the brackets of a step; the operations are in
// cpu_ops.cc and cpu_attend.cc.
#include "kvtoll/backends/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kvtoll/backends/cpu/bytes.h"
#include "kvtoll/cache/footprint.h"
#include "kvtoll/core/host.h"

namespace kvtoll::cpu {
namespace {

double gigabytes(Bytes bytes) { return static_cast<double>(bytes.value) * 1e-9; }

}  // namespace

Result<std::unique_ptr<Backend>> CpuBackend::make(std::shared_ptr<const Checkpoint> checkpoint,
                                                  const BackendOptions& options) {
  if (options.attention == Attention::kFused)
    return make_error(ErrorKind::kUnsupported,
                      "the cpu backend has no fused attention; it has `--attention materialize`");
  if (options.launch == Launch::kGraph)
    return make_error(ErrorKind::kUnsupported,
                      "the cpu backend has no captured graphs; it has `--launch eager`");
  std::unique_ptr<CpuBackend> backend(new CpuBackend(std::move(checkpoint), options));
  KVTOLL_TRY(backend->weights_,
             Weights::load(*backend->checkpoint_, options.weights, backend->pool_));
  backend->rope_ = rope_table(backend->config());
  return std::unique_ptr<Backend>(std::move(backend));
}

BackendInfo CpuBackend::info() const {
  BackendInfo info{.name = "cpu"};
  info.device = fmt::format("{} ({} threads, {})", cpu_name(), pool_.size(), simd_name());
  info.attention_kernels = {"cpu_attention"};
  if (cache_ && cache_->any_quantized()) info.attention_kernels.push_back("cpu_dequantize");
  return info;
}

Result<void> CpuBackend::reserve(const CacheRequest& request) {
  KVTOLL_CHECK(static_cast<int>(request.layers.size()) == config().layers,
               "formats for {} layers of {}", request.layers.size(), config().layers);
  request_ = request;
  const CacheSpec spec{.layers = request.layers,
                       .dtype = options_.cache,
                       .residual_length = request.residual_length,
                       .flush = options_.flush,
                       .kv_heads = config().kv_heads,
                       .head_dim = config().head_dim,
                       .slots = request.slots,
                       .max_tokens = request.max_tokens};
  const Bytes need = cache_footprint(spec, request.max_prompt, request.max_tokens).total();
  const Bytes free = available_memory();
  if (free.value > 0 && need > free)
    return make_error(
        ErrorKind::kOutOfMemory,
        "the cache of {} x {} tokens takes {:.2f} GB and {:.2f} GB of memory are free",
        request.slots, request.max_tokens, gigabytes(need), gigabytes(free));
  cache_ = std::make_unique<KvCache>(spec);
  const int64_t scratch = materialize_bytes(spec, request.max_tokens).value / 2;
  decoded_.clear();
  decoded_.resize(
      2 * (options_.keep_decoded ? static_cast<size_t>(request.slots * config().layers) : 1));
  if (scratch > 0 && !options_.keep_decoded)
    for (Decoded& decoded : decoded_) decoded.values.resize(scratch);
  last_next_.assign(static_cast<size_t>(request.slots), 0);
  size_activations(std::max<int64_t>({1, request.max_prompt, request.slots}), request.slots);
  peak_ = memory();
  return {};
}

void CpuBackend::size_activations(int64_t tokens, int64_t logit_rows) {
  const ModelConfig& c = config();
  const auto resize = [](Buffer& buffer, int64_t rows, int64_t width) {
    buffer.resize(rows * width * kActivation);
  };
  resize(x_, tokens, c.hidden);
  resize(normed_, tokens, c.hidden);
  resize(qkv_, tokens, c.q_width() + 2 * c.kv_width());
  resize(q_, tokens, c.q_width());
  resize(attended_, tokens, c.q_width());
  resize(k_new_, tokens, c.kv_width());
  resize(v_new_, tokens, c.kv_width());
  resize(gate_up_, tokens, 2 * c.ffn);
  resize(hidden_, tokens, c.ffn);
  resize(cos_, tokens, c.head_dim / 2);
  resize(sin_, tokens, c.head_dim / 2);
  resize(logits_, logit_rows, c.vocab);
}

// Lays the slots' tokens out in rows.
Result<void> CpuBackend::plan(const StepInput& input) {
  work_.clear();
  tokens_.clear();
  for (const SlotTokens& slot : input.slots) {
    KVTOLL_CHECK(slot.slot >= 0 && slot.slot < request_.slots, "slot {} of {}", slot.slot,
                 request_.slots);
    KVTOLL_CHECK(slot.position == length(slot.slot), "position {} of slot {} that holds {} tokens",
                 slot.position, slot.slot, length(slot.slot));
    const auto row = static_cast<int64_t>(tokens_.size());
    if (slot.tokens.empty()) tokens_.push_back(last_next_[static_cast<size_t>(slot.slot)]);
    tokens_.insert(tokens_.end(), slot.tokens.begin(), slot.tokens.end());
    work_.push_back({slot.slot, slot.position, static_cast<int64_t>(tokens_.size()) - row, row});
  }
  for (int32_t token : tokens_)
    if (token < 0 || token >= config().vocab)
      return usage_error("token id {} is outside the model's vocabulary of {}", token,
                         config().vocab);
  all_logits_ = input.all_logits;
  logit_rows_ = static_cast<int64_t>(all_logits_ ? tokens_.size() : work_.size());
  return {};
}

Result<bool> CpuBackend::begin_step(const StepInput& input) {
  KVTOLL_CHECK(cache_ != nullptr, "a step before reserve()");
  KVTOLL_TRY_VOID(plan(input));
  flushed_ = false;
  failure_.reset();
  size_activations(static_cast<int64_t>(tokens_.size()), logit_rows_);
  trace::Step step{trace::StepKind::kAppend, 0, static_cast<int64_t>(tokens_.size())};
  for (const SlotWork& work : work_) {
    if (cache_->next_flushes(work.slot)) step.kind = trace::StepKind::kFlush;
    step.context = std::max(step.context, work.position);
  }
  if (input.prefill) step.kind = trace::StepKind::kPrefill;
  scope_.emplace(step);
  for (const SlotWork& work : work_) fill_rope(work);
  return true;
}

// cos and sin as transformers computes them: the angle is a product in fp32.
void CpuBackend::fill_rope(const SlotWork& work) {
  const int64_t half = config().head_dim / 2;
  for (int64_t t = 0; t < work.n; ++t) {
    float* cos = cos_.as<float>() + (work.row + t) * half;
    float* sin = sin_.as<float>() + (work.row + t) * half;
    for (int64_t i = 0; i < half; ++i) {
      const float angle =
          rope_.inv_freq[static_cast<size_t>(i)] * static_cast<float>(work.position + t);
      cos[i] = std::cos(angle) * rope_.attention_factor;
      sin[i] = std::sin(angle) * rope_.attention_factor;
    }
  }
}

Result<void> CpuBackend::end_step() {
  scope_.reset();
  const MemorySplit now = memory();
  for (size_t tag = 0; tag < now.by_tag.size(); ++tag)
    peak_.by_tag[tag] = std::max(peak_.by_tag[tag], now.by_tag[tag]);
  if (failure_) return tl::unexpected<Error>(*failure_);
  return {};
}

std::span<const float> CpuBackend::logits(int row) {
  KVTOLL_CHECK(row >= 0 && row < logit_rows_, "logits of row {} of {}", row, logit_rows_);
  const int64_t vocab = config().vocab;
  return {logits_.as<float>() + row * vocab, static_cast<size_t>(vocab)};
}

MemorySplit CpuBackend::memory() const {
  MemorySplit split = cache_ ? cache_->memory() : MemorySplit{};
  split[MemoryTag::kWeights] = weights_.bytes();
  for (const Buffer* buffer :
       {&x_, &normed_, &qkv_, &q_, &attended_, &k_new_, &v_new_, &gate_up_, &hidden_, &cos_, &sin_,
        &logits_, &attention_space_.partial, &attention_space_.scratch})
    split[MemoryTag::kWorkspace] += buffer->bytes();
  for (const Decoded& decoded : decoded_) split[MemoryTag::kWorkspace] += decoded.values.bytes();
  return split;
}

}  // namespace kvtoll::cpu
