// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// torch.cat along the positions on the device: what the library does with the dequantized store,
// the residual and the new token, every step.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace kvtoll::device_formats {

struct ConcatPart {
  const void* x = nullptr;
  int64_t head_stride = 0;  // units
  int begin = 0;            // first unit of a head in out; parts are in order
};

// Unit: 16 bytes, or an element where rows do not divide into 16 bytes. units: of a head in out.
template <class Unit>
__global__ void kv_concat_kernel(ConcatPart a, ConcatPart b, ConcatPart c, int units,
                                 int64_t out_head_stride, Unit* __restrict__ out) {
  const int u = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), head = blockIdx.y;
  if (u >= units) return;
  const ConcatPart& part = u < b.begin ? a : (u < c.begin ? b : c);
  out[head * out_head_stride + u] =
      static_cast<const Unit*>(part.x)[head * part.head_stride + u - part.begin];
}

}  // namespace kvtoll::device_formats
