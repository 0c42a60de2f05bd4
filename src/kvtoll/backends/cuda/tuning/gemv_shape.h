// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launch shapes of the matrix-vector kernels: one block a multiprocessor; its warps split every row
// between them along k. Every warp streams its weights through a ring of `depth` stages of 8 rows
// by at most `chunks` 16-byte chunks. What the rings hold is what flows while one kernel ends and
// the next finds its input, so they take nearly all shared memory: 180 KiB a multiprocessor on
// sm_90 are 24 MB, or 8 us of an H100's memory.
#pragma once

namespace kvtoll::cuda {

inline constexpr int kGemvRows = 8;  // of a stage: the columns of a tensor-core product

template <int kWarpCount, int kChunkCount, int kDepthCount>
struct GemvShape {
  static constexpr int kWarps = kWarpCount;
  static constexpr int kChunks = kChunkCount;
  static constexpr int kDepth = kDepthCount;
  static constexpr int kThreads = (kWarps + 1) * 32;  // one more warp finishes rows
  static constexpr int kSteps = kChunks / 4;          // of four chunks: two tensor-core products
  static constexpr int kRowBytes = kChunks * 16;      // of a stage
  static constexpr int kStageBytes = kGemvRows * kRowBytes;
  // Lanes read two rows at once, which must lie in different banks, and a piece of a row should end
  // where a 64-byte access of the memory does.
  static_assert(kRowBytes % 128 == 64);
};

using GemvLarge = GemvShape<8, 60, 3>;  // 180 KiB; k up to 11,000 normed, 22,000 plain
using GemvSmall = GemvShape<8, 28, 3>;  // 84 KiB: sm_80, and wider rows

// Bytes of the next kernel's weights that each block brings into the L2 when it has asked for all
// of its own: what an H100's memory delivers while one block ends and the next one starts (3 us).
inline constexpr int kAheadBytes = 32 << 10;

}  // namespace kvtoll::cuda
