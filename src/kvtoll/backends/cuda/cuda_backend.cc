// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Making the backend, reserving memory, and handing out results.
#include "kvtoll/backends/cuda/cuda_backend.h"

#include <algorithm>
#include <cstring>

#include "kvtoll/backends/cuda/gemv.h"
#include "kvtoll/backends/cuda/make_cuda.h"
#include "kvtoll/backends/cuda/tuning/attention_shape.h"
#include "kvtoll/backends/cuda/tuning/prefill_chunk.h"
#include "kvtoll/core/check.h"

namespace kvtoll::cuda {
namespace {

double gigabytes(Bytes bytes) { return static_cast<double>(bytes.value) * 1e-9; }

Result<void> check_shapes(const ModelConfig& c, const BackendOptions& options) {
  if (options.weights == DType::kF32 || options.cache == DType::kF32)
    return make_error(ErrorKind::kUnsupported,
                      "the cuda backend computes in fp16 or bf16, not fp32; use --dtype fp16, "
                      "--dtype bf16 or --backend cpu");
  if (c.hidden % 8 || c.ffn % 8 || c.q_width() % 8)
    return make_error(ErrorKind::kUnsupported,
                      "{}: the cuda backend needs widths that are multiples of 8 (hidden {}, ffn "
                      "{}, query {}); use --backend cpu",
                      c.name, c.hidden, c.ffn, c.q_width());
  if (!attention_serves(c.head_dim))
    return make_error(ErrorKind::kUnsupported,
                      "{}: no cuda attention kernel serves head size {}; there are 64, 80, 96, 128 "
                      "and 256; use --backend cpu",
                      c.name, c.head_dim);
  return {};
}

Error from_cuda(const CudaError& error) { return {ErrorKind::kMachine, error.what()}; }

}  // namespace

Result<std::unique_ptr<Backend>> make_cuda_backend(std::shared_ptr<const Checkpoint> checkpoint,
                                                   const BackendOptions& options) {
  KVTOLL_TRY_VOID(check_shapes(checkpoint->config(), options));
  const DeviceInfo device = device_info(options.device);
  if (!device.available) return machine_error("no cuda backend here: {}", device.reason);
  if (device.major < 8)
    return machine_error("{} has compute capability {}.{}; the cuda backend needs 8.0 or newer",
                         device.name, device.major, device.minor);
  try {
    auto backend = std::make_unique<CudaBackend>(std::move(checkpoint), options, device);
    KVTOLL_TRY_VOID(backend->load());
    return std::unique_ptr<Backend>(std::move(backend));
  } catch (const CudaError& error) {
    return tl::unexpected<Error>(from_cuda(error));
  }
}

CudaBackend::CudaBackend(std::shared_ptr<const Checkpoint> checkpoint,
                         const BackendOptions& options, DeviceInfo device)
    : checkpoint_(std::move(checkpoint)),
      options_(options),
      device_(std::move(device)),
      memory_(options.device) {}

Result<void> CudaBackend::load() {
  const ModelConfig& c = config();
  KVTOLL_CUDA(cudaDeviceGetAttribute(&max_shared_, cudaDevAttrMaxSharedMemoryPerBlockOptin,
                                     options_.device));
  prepare_gemv({c.hidden, c.q_width(), c.ffn}, options_.weights, max_shared_);
  constexpr int kNeeded = 160 << 10;
  if (max_shared_ < kNeeded)
    return make_error(ErrorKind::kUnsupported,
                      "{} gives a block {} KiB of shared memory; the cuda kernels need {} (A100, "
                      "H100, H200 and their like); use --backend cpu",
                      device_.name, max_shared_ >> 10, kNeeded >> 10);
  attention_room_ = prepare_attention(c.head_dim, device_.multiprocessors);
  prefill_ = prefill_kernel(device_.major, c.head_dim);
  KVTOLL_TRY(weights_, load_weights(*checkpoint_, options_.weights, memory_, stream_));
  KVTOLL_TRY(blas_memory_, memory_.allocate(Bytes(Cublas::kWorkspace), MemoryTag::kWorkspace));
  KVTOLL_TRY(blas_, Cublas::open(stream_.get(), blas_memory_.get(), Cublas::kWorkspace));
  return {};
}

BackendInfo CudaBackend::info() const {
  BackendInfo info{.name = "cuda", .device = device_.name, .peak_gb_s = device_.peak_gb_s};
  info.attention_kernels = {"attention_decode_kernel", std::string(prefill_.name)};
  if (!in_place()) info.attention_kernels.push_back("kv_concat_kernel");
  return info;
}

Result<void> CudaBackend::check_formats(const CacheRequest& request) const {
  for (const KvPair& pair : request.layers)
    for (const KvFormat* format : {&pair.key, &pair.value}) {
      const bool stored = format->quantized() && !options_.keep_decoded;
      if (stored && options_.attention == Attention::kFused)
        return make_error(ErrorKind::kUnsupported,
                          "no fused cuda kernel serves {}; there are attention_decode_kernel for "
                          "fp16 and bf16, and `--attention materialize` for quantized formats",
                          format->to_string());
      if (!format->quantized() && format->dtype != options_.cache)
        return make_error(ErrorKind::kUnsupported,
                          "the cuda backend keeps exact keys and values in the cache's dtype {}, "
                          "not in {}",
                          dtype_name(options_.cache), dtype_name(format->dtype));
    }
  return {};
}

KvHolding CudaBackend::holding() const {
  if (options_.keep_decoded) return KvHolding::kDecoded;
  return options_.attention == Attention::kMaterialize ? KvHolding::kMaterialize : KvHolding::kNone;
}

Result<void> CudaBackend::reserve(const CacheRequest& request) {
  KVTOLL_CHECK(static_cast<int>(request.layers.size()) == config().layers,
               "formats for {} layers of {}", request.layers.size(), config().layers);
  try {
    KVTOLL_TRY_VOID(check_formats(request));
    graphs_.clear();
    workspace_.reset();
    kv_ = KvMemory();
    memory_.reset_peak();
    const Result<void> done = try_reserve(request);
    if (!done) {
      workspace_.reset();
      kv_ = KvMemory();
      request_ = CacheRequest{.slots = 0};
    }
    return done;
  } catch (const CudaError& error) {
    return tl::unexpected<Error>(from_cuda(error));
  }
}

Result<void> CudaBackend::try_reserve(const CacheRequest& request) {
  const ModelConfig& c = config();
  request_ = request;
  KVTOLL_TRY(const MemorySplit planned,
             kv_.plan({request, options_.cache, c.kv_heads, c.head_dim, holding()}));
  const int items = request.slots * c.kv_heads * ((c.gqa() + 7) / 8);
  const int64_t partial =
      int64_t{8} * c.head_dim * std::max(device_.multiprocessors * kMaxAttentionWaves, items);
  Slab slab;
  plan_activations(act_, c, request.slots, request.max_prompt,
                   prefill_chunk(c.heads, device_.multiprocessors), partial, slab);
  const Bytes need = planned.total() + slab.bytes(), free = memory_.free();
  if (need > free)
    return make_error(ErrorKind::kOutOfMemory,
                      "{} x {} tokens take {:.3f} GB of keys and values and {:.3f} GB of workspace "
                      "beside {:.3f} GB of weights; {:.3f} GB are free",
                      request.slots, request.max_tokens, gigabytes(planned.kv()),
                      gigabytes(planned[MemoryTag::kWorkspace] + slab.bytes()),
                      gigabytes(weights_.memory.bytes()), gigabytes(free));
  KVTOLL_TRY_VOID(kv_.allocate(memory_));
  KVTOLL_TRY(workspace_, slab.allocate(memory_, MemoryTag::kWorkspace));
  KVTOLL_CUDA(
      cudaMemsetAsync(act_.row_slot, 0, static_cast<size_t>(act_.state_bytes), stream_.get()));
  stream_.synchronize();
  const int64_t ints = std::max<int64_t>(request.slots, request.max_prompt);
  next_ = PinnedBuffer(Bytes(int64_t(request.slots) * 8));
  token_places_.clear();
  upload_ = PinnedBuffer(Bytes(ints * 4));
  logits_ = PinnedBuffer(Bytes(int64_t(c.vocab) * 4));
  lengths_.assign(static_cast<size_t>(request.slots), 0);
  rows_.assign(static_cast<size_t>(request.slots), 0);
  return {};
}

void CudaBackend::clear_slot(int slot) {
  lengths_[static_cast<size_t>(slot)] = 0;
  KVTOLL_CUDA(cudaMemsetAsync(act_.slot_length + slot, 0, 4, stream_.get()));
  kv_.clear(slot, stream_.get());
}

void CudaBackend::rewind(int slot, int64_t length) {
  int64_t& held = lengths_[static_cast<size_t>(slot)];
  KVTOLL_CHECK(!kv_.any_quantized() && length >= 0 && length <= held,
               "rewinding slot {} of {} tokens to {}, {}", slot, held, length,
               kv_.any_quantized() ? "quantized" : "exact");
  held = length;
  const auto tokens = static_cast<int>(length);  // pageable: the call copies before it returns
  KVTOLL_CUDA(
      cudaMemcpyAsync(act_.slot_length + slot, &tokens, 4, cudaMemcpyHostToDevice, stream_.get()));
}

// argmax_kernel writes into host memory: seeing the tokens is sooner than the stream's end. Every
// now and then (about a millisecond) the stream is asked, so that a failed kernel does not leave us
// waiting.
std::span<const int32_t> CudaBackend::next_tokens() {
  KVTOLL_CHECK(!token_places_.empty(), "tokens before a step");
  const std::vector<int32_t>& places = token_places_.front();
  const volatile int32_t* tokens = next_.get<int32_t>();
  const auto missing = [&] {
    return std::ranges::any_of(places, [&](int32_t at) { return tokens[at] < 0; });
  };
  for (int spins = 1; missing(); ++spins)
    if (spins % (1 << 19) == 0 && cudaStreamQuery(stream_.get()) != cudaErrorNotReady) break;
  if (missing()) stream_.synchronize();  // tells what went wrong
  tokens_.clear();
  for (const int32_t at : places) tokens_.push_back(int32_t{tokens[at]});
  if (token_places_.size() > 1) {
    token_places_.pop_front();
  } else {
    seen_ = true;
  }
  return tokens_;
}

std::span<const float> CudaBackend::logits(int row) {
  const int64_t vocab = config().vocab;
  if (row < logit_first_ || row >= logit_first_ + logit_count_) {
    KVTOLL_CHECK(all_logits_ && row >= 0 && row < prompt_rows_, "logits of row {} of {}", row,
                 all_logits_ ? prompt_rows_ : logit_count_);
    logit_first_ = row;
    logit_count_ = static_cast<int>(std::min<int64_t>(act_.logit_rows, prompt_rows_ - row));
    lm_head_rows(act_.x + int64_t(row) * config().hidden, logit_count_, 0);
  }
  KVTOLL_CUDA(cudaMemcpyAsync(logits_.get<float>(), act_.logits + (row - logit_first_) * vocab,
                              static_cast<size_t>(vocab) * 4, cudaMemcpyDeviceToHost,
                              stream_.get()));
  stream_.synchronize();
  seen_ = true;
  return {logits_.get<float>(), static_cast<size_t>(vocab)};
}

}  // namespace kvtoll::cuda
