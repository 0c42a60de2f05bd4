// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cuda/gemm_rows.h"

#include "kvtoll/core/check.h"

namespace kvtoll::cuda {

GemmRows GemmRows::on_device([[maybe_unused]] int major, [[maybe_unused]] int multiprocessors,
                             [[maybe_unused]] int max_shared) {
  GemmRows rows;
#if defined(KVTOLL_HAVE_SM90)
  if (major == 9) {
    rows.limit_ = max_shared - kGemmLeftShared;
    prepare_gemm_rows_sm90(rows.limit_);
    rows.clusters_[1] = multiprocessors;
    for (int size = 2; size <= kMostGemmCluster; size *= 2)
      rows.clusters_[size] = gemm_rows_sm90_clusters(size, rows.limit_);
  }
#endif
  return rows;
}

// The smallest cluster whose blocks hold their part of x.
std::optional<GemmRowsPlan> GemmRows::plan(int n, int k) const {
  if (!limit_ || n > kGemmColumns || k % kGemmStep != 0) return std::nullopt;
  for (int size = 1; size <= kMostGemmCluster; size *= 2) {
    const GemmRowsPlan plan = plan_gemm_rows(size, clusters_[size], k, limit_);
    if (plan.ring() <= kMostGemmX && plan.depth >= 2 && plan.clusters > 0) return plan;
  }
  return std::nullopt;
}

void launch_gemm_rows([[maybe_unused]] const GemmRowsParams& p, const GemmRowsPlan& plan,
                      [[maybe_unused]] DType dtype, [[maybe_unused]] const LaunchContext& launch) {
  KVTOLL_CHECK(plan.depth >= 2, "a product of rows in {} stages", plan.depth);
#if defined(KVTOLL_HAVE_SM90)
  launch_gemm_rows_sm90(p, plan, dtype, launch);
#endif
}

Bytes gemm_rows_bytes(const GemmRowsParams& p) {
  const int64_t out = int64_t(p.n) * p.rows;
  const int64_t moved = p.finish == GemmFinish::kGate ? out : out * 4;
  return Bytes(int64_t(p.rows) * p.k * 2 + int64_t(p.n) * p.k * 2 + (p.bias ? p.rows * 4 : 0) +
               moved * (p.finish == GemmFinish::kAdd ? 2 : 1));
}

}  // namespace kvtoll::cuda
