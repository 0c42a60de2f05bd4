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
  constexpr int kWarps = attention_warps(kDim), kRings = kWarps * TokenRing<kDim>::kBytes;
  static_assert(kWarps * int(sizeof(WarpResult<kDim>)) <= kRings, "results lie where rings were");
  static_assert(8 * kMaxSplits * 4 <= kRings, "so do weights of splits");
  return kRings + sizeof(BlockInbox<kDim>) + sizeof(StepInput<kDim>) +
         kWarps * attention_depth(kDim) * 8;
}

template <int kDim>
LaunchShape attention_shape(const AttentionGrid& grid, int items, int rows) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(grid.splits), static_cast<unsigned>(items),
                    static_cast<unsigned>(rows));
  shape.block = dim3(attention_warps(kDim) * 32);
  shape.shared = shared_bytes<kDim>();
  shape.cluster = grid.cluster;
  return shape;
}

}  // namespace

bool attention_serves(int head_dim) {
  return with_dim(head_dim, []<int>() {});
}

void launch_attention_decode(const AttentionParams& p, DType dtype, const LaunchContext& launch) {
  const int groups = head_groups(p.heads, p.cache.kv_heads);
  const bool served = with_dim(p.cache.dim, [&]<int kDim>() {
    constexpr int kWarps = attention_warps(kDim);
    LaunchShape shape = attention_shape<kDim>(p.grid, p.cache.kv_heads * groups, p.row_count);
    shape.overlap = launch.overlap;
    launch_kernel(dtype == DType::kF16 ? attention_decode_kernel<__half, kDim, kWarps>
                                       : attention_decode_kernel<__nv_bfloat16, kDim, kWarps>,
                  shape, launch.stream, p);
  });
  KVTOLL_CHECK(served, "attention with head size {}", p.cache.dim);
}

AttentionGrid attention_grid(const AttentionLoad& load, const AttentionRoom& room) {
  const int items = load.rows * load.kv_heads * ((load.gqa + 7) / 8);
  if (load.rows * load.tokens <= kClusterTokens)
    for (int i = 4; i > 0; --i)
      if (items <= room.clusters[i] && (64 << (i - 1)) < load.tokens) return {1 << i, 1 << i};
  const auto most = static_cast<int>(std::min<int64_t>(kMaxSplits, (load.tokens + 63) / 64));
  const int wanted = room.multiprocessors * kAttentionWaves / items;
  return {std::clamp(wanted, 1, std::max(most, 1)), 1};
}

int64_t attention_tokens(int rows, int64_t tokens, int64_t max_tokens) {
  const int64_t few = kClusterTokens / rows;
  return std::min(tokens <= few ? few : max_tokens, max_tokens);
}

Bytes attention_decode_bytes(int64_t tokens, int rows, int heads, int kv_heads, int dim) {
  return Bytes(tokens * kv_heads * dim * 2 * 2 + int64_t(rows) * heads * dim * 2 * 2);
}

AttentionRoom prepare_attention(int head_dim, int multiprocessors) {
  AttentionRoom room{multiprocessors, {multiprocessors}};
  const auto prepare = [&]<int kDim>() {
    const auto allow = [&](auto* kernel) {
      allow_shared(kernel, shared_bytes<kDim>());
      allow_large_clusters(kernel);
      for (int i = 1; i < 5; ++i)
        room.clusters[i] =
            resident_clusters(kernel, attention_shape<kDim>({1 << i, 1 << i}, multiprocessors, 1));
    };
    allow(attention_decode_kernel<__half, kDim, attention_warps(kDim)>);
    allow(attention_decode_kernel<__nv_bfloat16, kDim, attention_warps(kDim)>);
  };
  with_dim(head_dim, prepare);
  return room;
}

}  // namespace kvtoll::cuda
