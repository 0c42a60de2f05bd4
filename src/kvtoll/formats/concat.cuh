// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// torch.cat along the positions on the device: what the library does with the dequantized store,
// the residual and the new token, every step; and the copy of heads to other distances.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kvtoll/formats/kv_device.h"

namespace kvtoll::device_formats {

// Unit: 16 bytes, or an element where vectors do not divide into 16 bytes; `vector` units of them.
// Grid: x strides over a head's units, y: kv heads, z: rows.
template <class Unit>
__global__ void kv_concat_kernel(const __grid_constant__ KvConcatParams p, int vector) {
  const int head = blockIdx.y, row = blockIdx.z, slot = p.slot[row];
  const int64_t stored = p.start ? p.start[slot] : 0, tokens = p.length[slot] + 1;
  const Unit* store = static_cast<const Unit*>(p.store) + row * (p.store_stride / p.dim * vector) +
                      head * stored * vector;
  const Unit* exact =
      static_cast<const Unit*>(p.exact) + (int64_t{slot} * p.kv_heads + head) * p.capacity * vector;
  Unit* out =
      static_cast<Unit*>(p.out) + (int64_t{row} * p.kv_heads + head) * p.out_capacity * vector;
  const int64_t border = stored * vector, end = tokens * vector;
  for (int64_t u = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; u < end;
       u += int64_t{gridDim.x} * blockDim.x)
    out[u] = u < border ? store[u] : exact[u - border];
}

// Grid: x: a head's units, y: kv heads, z: rows.
template <class Unit>
__global__ void kv_copy_kernel(const __grid_constant__ KvCopyParams p, int vector) {
  const int64_t u = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (u >= p.tokens * vector) return;
  const int row = blockIdx.z, head = blockIdx.y, unit = p.dim / vector;  // elements
  const int64_t from = (row * p.x_stride + head * p.head_stride) / unit + u;
  const int64_t to = (p.rows.values[row] * p.out_stride + head * p.out_head_stride) / unit + u;
  static_cast<Unit*>(p.out)[to] = static_cast<const Unit*>(p.x)[from];
}

}  // namespace kvtoll::device_formats
