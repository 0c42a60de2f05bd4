// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launch shapes of decode attention. Each warp has a ring of 16 KiB (32 KiB for head size 256) of
// keys and values on the way, so a multiprocessor has up to 128 KiB.
#pragma once

namespace kvtoll::cuda {

constexpr int attention_warps(int head_dim) { return head_dim > 128 ? 4 : 8; }
// Stages of a warp's ring: 16 keys or 16 values each.
constexpr int attention_depth(int head_dim) { return head_dim > 128 ? 4 : 512 / head_dim; }
// Blocks launched for each multiprocessor when one sequence's heads do not fill it.
inline constexpr int kAttentionWaves = 1;
inline constexpr int kMaxSplits = 128;
// Up to so many tokens (of all sequences together) a cluster of blocks attends to each group of
// heads. Beyond, reading on all multiprocessors counts more than adding up results quickly.
inline constexpr int kMaxCluster = 16;
inline constexpr int kClusterTokens = 8192;
inline constexpr int kMaxAttentionWaves = 2;  // what buffers are sized for

}  // namespace kvtoll::cuda
