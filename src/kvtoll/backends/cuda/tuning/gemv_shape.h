// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launch shape of the matrix-vector kernels. Eight warps a block, one block a multiprocessor; every
// warp streams its part of each row through a ring of kGemvDepth stages of 2 KiB, so that a
// multiprocessor has up to 80 KiB of weights on the way (132 of them: 10.8 MB, 3.5 us of an H100's
// memory), and two such blocks of successive kernels fit beside each other (227 KiB on sm_90),
// which lets the next kernel's weights flow while the last one ends.
#pragma once

namespace kvtoll::cuda {

inline constexpr int kGemvWarps = 8;
// Blocks a multiprocessor's registers must hold: two of these and one of attention (128 registers).
inline constexpr int kGemvBlocks = 4;
inline constexpr int kGemvDepth = 5;
inline constexpr int kGemvRows = 2;     // rows a stage
inline constexpr int kGemvChunks = 64;  // 16-byte chunks a row and stage, at most

}  // namespace kvtoll::cuda
