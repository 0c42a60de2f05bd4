// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launch shapes of decode attention. 128 registers a thread hold a tile of 16 keys and 16 values on
// the way (8 KiB a warp at head size 128); with 8 warps a multiprocessor has 64 KiB in flight.
#pragma once

namespace kvtoll::cuda {

constexpr int attention_warps(int head_dim) { return head_dim > 128 ? 4 : 8; }
// Blocks that must fit a multiprocessor's registers.
constexpr int attention_blocks(int head_dim) { return head_dim > 128 ? 1 : 2; }
// Blocks launched for each multiprocessor when one sequence's heads do not fill it.
inline constexpr int kAttentionWaves = 1;
inline constexpr int kMaxAttentionWaves = 2;  // what buffers are sized for

}  // namespace kvtoll::cuda
