// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launch shapes of the matrix-vector kernels: one block a multiprocessor; its warps are `slices`
// shares of k by warps / slices groups of rows. Every warp streams its weights through a ring of
// `depth` stages of `rows` rows by at most `chunks` 16-byte chunks. Two blocks of successive
// kernels fit beside each other (227 KiB of shared memory on sm_90), which lets the next kernel's
// weights flow while the last one ends.
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

using DefaultGemvShape = GemvShape<8, 8, 2, 64, 5, 4>;

}  // namespace kvtoll::cuda
