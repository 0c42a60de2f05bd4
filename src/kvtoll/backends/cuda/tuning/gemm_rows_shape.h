// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How a product of 2 to 8 rows is laid out on the device. A block keeps x in shared memory; what is
// left of it is a ring of weights, one block a multiprocessor. Where x is too long for that, blocks
// of a cluster share rows of the weights and split k.
#pragma once

#include <algorithm>

namespace kvtoll::cuda {

inline constexpr int kGemmColumns = 8;           // rows of x, the columns of a tensor-core product
inline constexpr int kGemmStep = 16;             // of k in one of them
inline constexpr int kGemmUnit = 32;             // rows of weights that are finished together
inline constexpr int kGemmSlices = 4;            // of k, in a block
inline constexpr int kGemmWarps = 8;             // that multiply: slices by halves of a unit
inline constexpr int kGemmCopiers = 8;           // more warps, which copy four rows of a unit each
inline constexpr int kGemmSumStride = 36;        // floats of a column of sums
inline constexpr int kMostGemmSteps = 32;        // of k in a stage of the ring: 1 KiB a row
inline constexpr int kMostGemmCluster = 8;       // blocks
inline constexpr int kMostGemmX = 80 << 10;      // bytes of x in a block
inline constexpr int kGemmLeftShared = 8 << 10;  // for blocks of small kernels beside ours
// Bytes of the next product's weights that a block brings into the L2 when it has all of its own:
// of each of the 32 rows that it will start with.
inline constexpr int kGemmNextBytes = 2 << 10;

// What a launch decides. Shared memory: x | ring | sums | boxes | barriers.
struct GemmRowsPlan {
  int cluster = 0;                 // blocks that share rows
  int clusters = 0;                // in the grid
  int pieces = 0;                  // of a block's k, one a stage
  int depth = 0;                   // stages of the ring
  int x_stride = 0, w_stride = 0;  // bytes of a row in shared memory: 16 past a multiple of 32

  constexpr int ring() const { return kGemmColumns * x_stride; }
  constexpr int stage_bytes() const { return kGemmUnit * w_stride; }
  constexpr int unit_bytes() const { return kGemmColumns * kGemmUnit * 4; }  // of its sums
  constexpr int sums() const { return ring() + depth * stage_bytes(); }
  constexpr int boxes() const { return sums() + kGemmSlices * kGemmColumns * kGemmSumStride * 4; }
  constexpr int barriers() const { return boxes() + 2 * unit_bytes(); }
  constexpr int total() const { return barriers() + 8 * (3 + 2 * depth); }
};

// A plan of `clusters` clusters of `cluster` blocks, k a multiple of 16; depth 0 or less when it
// does not fit `limit` bytes of shared memory.
constexpr GemmRowsPlan plan_gemm_rows(int cluster, int clusters, int k, int limit) {
  const auto ceil_div = [](int a, int b) { return (a + b - 1) / b; };
  const int most = ceil_div(k / kGemmStep, cluster);  // steps of a block
  GemmRowsPlan plan{cluster, clusters};
  plan.pieces = ceil_div(most, kMostGemmSteps);
  plan.x_stride = most * 32 + 16;
  plan.w_stride = ceil_div(most, plan.pieces) * 32 + 16;
  plan.depth = (limit - plan.total()) / (plan.stage_bytes() + 16);
  return plan;
}

}  // namespace kvtoll::cuda
