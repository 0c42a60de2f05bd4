// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Launch shapes of the matrix-vector kernels: one block a multiprocessor, in which one warp fills a
// ring of `depth` stages with weights, 8 rows by at most warps x chunks 16-byte chunks each;
// `warps` warps multiply, each its slice of every stage; and one warp finishes rows. What the ring
// holds is what flows while one kernel ends and the next finds its input, so it takes nearly all
// shared memory: 180 KiB a multiprocessor on sm_90 are 24 MB, or 8 us of an H100's memory.
#pragma once

namespace kvtoll::cuda {

inline constexpr int kGemvRows = 8;  // of a stage: those of a tensor-core product, twice

template <int kWarpCount, int kChunkCount, int kDepthCount>
struct GemvShape {
  static constexpr int kWarps = kWarpCount;
  static constexpr int kChunks = kChunkCount;  // of a warp's slice
  static constexpr int kDepth = kDepthCount;
  static constexpr int kThreads = (kWarps + 2) * 32;
  static constexpr int kPiece = kWarps * kChunks;  // chunks of a row in a stage
  static constexpr int kSteps = kChunks / 4;       // tensor-core products of a slice
  // Lanes read two rows at once, which must lie in different banks.
  static constexpr int kRowBytes = kPiece * 16 + 64;
  static constexpr int kStageBytes = kGemvRows * kRowBytes;
  static_assert(kPiece % 8 == 0 && kChunks % 4 == 0);
};

using GemvLarge = GemvShape<8, 60, 3>;  // 182 KiB; k up to 11,000 normed, 19,000 plain
using GemvSmall = GemvShape<8, 28, 3>;  // 86 KiB: sm_80, and wider rows

// Bytes of the next kernel's weights that each block brings into the L2 when it has asked for all
// of its own: what an H100's memory delivers while one block ends and the next one starts.
inline constexpr int kAheadBytes = 32 << 10;

}  // namespace kvtoll::cuda
