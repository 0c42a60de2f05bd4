// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Weights made or converted on the device. Matrices may be interleaved by row (gate and up).
#pragma once

#include <cuda_runtime.h>

#include "kvtoll/core/dtype.h"
#include "kvtoll/model/checkpoint.h"

namespace kvtoll::cuda {

// Where row r of a [rows, cols] tensor goes: row r * row_step of `to`; with half > 0 first the rows
// of each head of 2 * half are put in pairs: d and d + half become 2 d and 2 d + 1.
struct WeightTarget {
  void* to = nullptr;
  DType dtype = DType::kF16;  // fp16, bf16 or fp32
  int64_t rows = 1, cols = 0;
  int64_t row_step = 1;
  int64_t half = 0;
};

// Element i = offset + scale * random_symmetric(seed, stream, i), rounded to `as`, to `then` and to
// the target's dtype: the same function, bit for bit, as the host's. Kernel: synthetic_kernel.
void launch_synthetic(const SyntheticRule& rule, DType as, DType then, const WeightTarget& target,
                      cudaStream_t stream);
// from: device memory, [rows, cols] of from_dtype; each value is rounded to `as` on the way.
// Kernel: convert_kernel.
void launch_convert(const void* from, DType from_dtype, DType as, const WeightTarget& target,
                    cudaStream_t stream);

}  // namespace kvtoll::cuda
