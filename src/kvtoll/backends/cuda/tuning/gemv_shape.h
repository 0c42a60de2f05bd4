// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launch shapes of the matrix-vector kernels: one block a multiprocessor; its warps are `slices`
// shares of k by warps / slices groups of rows. Every warp streams its weights through a ring of
// `depth` stages of `rows` rows by at most `chunks` 16-byte chunks. What the rings hold is what
// flows while one kernel ends and the next finds its input, so they take nearly all shared memory:
// 192 KiB a multiprocessor on sm_90 are 26 MB, or 8 us of an H100's memory.
#pragma once

namespace kvtoll::cuda {

template <int kWarpCount, int kSliceCount, int kRowCount, int kChunkCount, int kDepthCount,
          int kBlockCount>
struct GemvShape {
  static constexpr int kWarps = kWarpCount;
  static constexpr int kSlices = kSliceCount;
  static constexpr int kRows = kRowCount;
  static constexpr int kChunks = kChunkCount;
  static constexpr int kDepth = kDepthCount;
  static constexpr int kBlocks = kBlockCount;  // whose registers must fit a multiprocessor
  static constexpr int kGroups = kWarps / kSlices;
  static constexpr int kThreads = kWarps * 32;
  static constexpr int kStageBytes = kRows * kChunks * 16;
};

using GemvLarge = GemvShape<16, 8, 4, 64, 3, 1>;      // 192 KiB; k up to about 8,000
using GemvLargeDown = GemvShape<16, 8, 2, 64, 5, 1>;  // 160 KiB; k up to about 34,000
using GemvSmall = GemvShape<8, 8, 2, 64, 5, 2>;       // 80 KiB: sm_80, and wider rows

// Bytes of the next kernel's weights that each block brings into the L2 when it has asked for all
// of its own: what an H100's memory delivers while one block ends and the next one starts (3 us).
inline constexpr int kAheadBytes = 64 << 10;

}  // namespace kvtoll::cuda
