// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// HQQ's half-quadratic solver (hqq 0.2.8, optimize_weights_proximal_legacy: lp_norm 0.7, beta 10,
// 20 iterations), bit for bit. It moves the zero of every group so that outliers weigh less; the
// scale stays. In both forms W, s and z are rounded to the solver's dtype first. At most 20 times:
//   q  = clamp(rint(fl(fl(W s) + z)), 0, M)
//   e  = fl(W - fl(fl(q - z) / s))
//   We = sign(e) * max(fl(|e| - fl(0.1 * fl(|e|^p))), 0)     p = fl(-0.3); 0 wherever |e| < 0.17
//   z  = fl(mean over the group of fl(q - fl(fl(W - We) * s)))
//   error = fl(mean |e| over the whole tensor);  stop unless it is below the best so far
// z is updated before the test and not rolled back; the test is one number for all groups, so a
// group's zero depends on the whole tensor.
//   kFp16 (what the library does on CUDA, for every cache dtype): fl rounds to fp16, so that
//     p = -0.300048828125; sums are exact (in double) and rounded to float before the division.
//   kFp32 (on a CPU): float throughout, sums in torch's own order (torch_sum.h).
// In both the power is correctly rounded (hqq_shrink.h).
#pragma once

#include <vector>

#include "kvtoll/formats/codec.h"

namespace kvtoll {

inline constexpr int kHqqIterations = 20;

// w: [layout.rows, layout.cols]; s, z: [groups], changed in place. Returns the iterations run.
int hqq_solve(HqqSolver solver, const float* w, const GroupLayout& layout, float levels,
              std::vector<float>& s, std::vector<float>& z);

// We of an error e.
float hqq_shrunk(HqqSolver solver, float e);

}  // namespace kvtoll
