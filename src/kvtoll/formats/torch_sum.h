// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The order in which torch adds floats on a CPU (one thread, 8 SIMD lanes), so that a mean is equal
// to the last bit: four levels of partial sums over chains, four interleaved chains where the
// summed axis is contiguous. Source: the behaviour of torch.sum, checked against it.
#pragma once

#include <cstdint>

namespace kvtoll {

float torch_sum_contiguous(const float* x, int64_t n);
// x: [rows, cols] -> out [cols], added along the rows.
void torch_sum_rows(const float* x, int64_t rows, int64_t cols, float* out);

}  // namespace kvtoll
