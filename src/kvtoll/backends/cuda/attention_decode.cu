// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kvtoll/backends/cuda/attention_decode.cuh"
#include "kvtoll/backends/cuda/attention_decode.h"
#include "kvtoll/core/check.h"

namespace kvtoll::cuda {
namespace {

// Calls f with the head size as a constant. False: no kernel was built for it.
template <class F>
bool with_dim(int dim, const F& f) {
  switch (dim) {
    case 64:
      return f.template operator()<64>(), true;
    case 80:
      return f.template operator()<80>(), true;
    case 96:
      return f.template operator()<96>(), true;
    case 128:
      return f.template operator()<128>(), true;
    case 256:
      return f.template operator()<256>(), true;
    default:
      return false;
  }
}

int head_groups(int heads, int kv_heads) { return (heads / kv_heads + 7) / 8; }

template <int kDim>
constexpr size_t shared_bytes() {
  constexpr int kWarps = attention_warps(kDim);
  static_assert(sizeof(WarpResult<kDim>) <= TokenRing<kDim>::kBytes,
                "results lie where rings were");
  static_assert(8 * kMaxSplits * 4 <= kWarps * TokenRing<kDim>::kBytes, "so do weights of splits");
  return kWarps * (TokenRing<kDim>::kBytes + attention_depth(kDim) * 8);
}

}  // namespace

bool attention_serves(int head_dim) {
  return with_dim(head_dim, []<int>() {});
}

void launch_attention_decode(const AttentionParams& p, DType dtype, const LaunchContext& launch) {
  const int groups = head_groups(p.heads, p.cache.kv_heads);
  const bool served = with_dim(p.cache.dim, [&]<int kDim>() {
    constexpr int kWarps = attention_warps(kDim);
    LaunchShape shape;
    shape.grid = dim3(p.splits, p.cache.kv_heads * groups, p.row_count);
    shape.block = dim3(kWarps * 32);
    shape.shared = shared_bytes<kDim>();
    shape.overlap = launch.overlap;
    launch_kernel(dtype == DType::kF16 ? attention_decode_kernel<__half, kDim, kWarps>
                                       : attention_decode_kernel<__nv_bfloat16, kDim, kWarps>,
                  shape, launch.stream, p);
  });
  KVTOLL_CHECK(served, "attention with head size {}", p.cache.dim);
}

int attention_splits(int rows, int kv_heads, int gqa, int multiprocessors, int64_t max_tokens) {
  const int items = rows * kv_heads * ((gqa + 7) / 8);
  const int wanted = multiprocessors * kAttentionWaves / items;
  const auto most = static_cast<int>(std::min<int64_t>(kMaxSplits, (max_tokens + 63) / 64));
  return std::clamp(wanted, 1, std::max(most, 1));
}

int64_t attention_partial_floats(int rows, int heads, int kv_heads, int dim, int splits) {
  return int64_t{8} * rows * kv_heads * head_groups(heads, kv_heads) * splits * dim;
}

Bytes attention_decode_bytes(int64_t tokens, int rows, int heads, int kv_heads, int dim) {
  return Bytes(tokens * kv_heads * dim * 2 * 2 + int64_t(rows) * heads * dim * 2 * 2);
}

void prepare_attention(int head_dim) {
  const auto prepare = []<int kDim>() {
    constexpr int kWarps = attention_warps(kDim);
    allow_shared(attention_decode_kernel<__half, kDim, kWarps>, shared_bytes<kDim>());
    allow_shared(attention_decode_kernel<__nv_bfloat16, kDim, kWarps>, shared_bytes<kDim>());
  };
  with_dim(head_dim, prepare);
}

}  // namespace kvtoll::cuda
