// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// quanto on the device (specification: quanto.h). Encoding: quanto_scale_kernel, then
// quanto_encode_kernel. Decoding as the library launches it: quanto_unpack_kernel,
// quanto_mul_kernel, quanto_sub_kernel in place, and for axis -1 quanto_ungroup_kernel.
#pragma once

#include "kvtoll/formats/device_groups.cuh"

namespace kvtoll::device_formats {

// kWarp: a warp a group (rows); otherwise a thread a group.
template <class T, bool kWarp>
__global__ void quanto_scale_kernel(Strided<const T> x, Groups groups, ScalePlace place,
                                    float levels, Strided<T> scale, Strided<T> shift,
                                    const __grid_constant__ KvRows rows) {
  const int g = my_group<kWarp>(groups);
  if (g < 0) return;
  const Range range = range_of<T, kWarp>(x.at(values_of(rows)), groups, g);
  if (kWarp && threadIdx.x % 32 != 0) return;
  const int64_t at = place.of(g);
  scale.at(store_of(rows))[at] = Numeric<T>::narrow(div<T>(sub<T>(range.high, range.low), levels));
  shift.at(store_of(rows))[at] = Numeric<T>::narrow(-range.low);
}

template <class T>
__global__ void quanto_encode_kernel(Strided<const T> xs, Groups groups, GroupOf group_of,
                                     ScalePlace place, Packing packing, float levels,
                                     Strided<const T> scales, Strided<const T> shifts,
                                     Strided<uint8_t> codes, const __grid_constant__ KvRows rows) {
  const int u = static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (u >= packing.units) return;
  const T* __restrict__ x = xs.at(values_of(rows));
  const T* __restrict__ scale = scales.at(store_of(rows));
  const T* __restrict__ shift = shifts.at(store_of(rows));
  pack_unit(packing, u, codes.at(store_of(rows)), [&](int matrix) {
    // Column order of axis -1: the matrix's element and the tensor's differ.
    const int i = groups.order == Order::kChannel
                      ? groups.linear(matrix % groups.cols, matrix / groups.cols)
                      : matrix;
    const int64_t at = place.of(group_of.of(i));
    const float value = Numeric<T>::widen(x[groups.address(i)]);
    const float u1 = add<T>(value, Numeric<T>::widen(shift[at]));
    return code_of(level_of(div<T>(u1, Numeric<T>::widen(scale[at])), levels));
  });
}

// Packed bytes to one code a byte, in the matrix's order. A thread takes four bytes.
template <int kBits>
__global__ void quanto_unpack_kernel(Strided<const uint8_t> stores, Packing packing,
                                     Strided<uint8_t> scratch,
                                     const __grid_constant__ KvRows rows) {
  const int u = 4 * static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (u >= packing.units) return;
  const uint8_t* __restrict__ packed = stores.at(store_of(rows));
  uint8_t* __restrict__ codes = scratch.at(blockIdx.y);
  constexpr uint32_t kMask = ((1u << kBits) - 1) * 0x01010101u;
  const bool fast = packing.unit_row % 4 == 0 && (!packing.token_major || packing.dim % 4 == 0);
  if (fast) {
    const uint32_t four = *reinterpret_cast<const uint32_t*>(packed + u);
#pragma unroll
    for (int part = 0; part < 8 / kBits; ++part) {
      const int i = packing.linear(u, part);
      if (i >= 0) *reinterpret_cast<uint32_t*>(codes + i) = (four >> (kBits * part)) & kMask;
    }
    return;
  }
  for (int k = u; k < min(u + 4, packing.units); ++k) {
    for (int part = 0; part < 8 / kBits; ++part) {
      const int i = packing.linear(k, part);
      if (i >= 0) codes[i] = (packed[k] >> (kBits * part)) & ((1 << kBits) - 1);
    }
  }
}

// y[i] = fl(scale * code); n elements, four a thread. group_of and place give the scale of i.
// aside: y is scratch.
template <class T>
__global__ void quanto_mul_kernel(Strided<const uint8_t> codes, GroupOf group_of, ScalePlace place,
                                  Strided<const T> scales, int n, Strided<T> y, bool aside,
                                  const __grid_constant__ KvRows rows) {
  const QuadScales at(group_of, place);
  const T* __restrict__ scale = scales.at(store_of(rows));
  map_four(codes.at(blockIdx.y), n, y.at(aside ? blockIdx.y : values_of(rows)),
           [&](int k, uint8_t code) {
             const float s = Numeric<T>::widen(scale[at.of(k)]);
             return Numeric<T>::narrow(mul<T>(s, static_cast<float>(code)));
           });
}

// y[i] = fl(y[i] - shift).
template <class T>
__global__ void quanto_sub_kernel(GroupOf group_of, ScalePlace place, Strided<const T> shifts,
                                  int n, Strided<T> ys, bool aside,
                                  const __grid_constant__ KvRows rows) {
  const QuadScales at(group_of, place);
  const T* __restrict__ shift = shifts.at(store_of(rows));
  T* y = ys.at(aside ? blockIdx.y : values_of(rows));
  map_four(y, n, y, [&](int k, T before) {
    const float s = Numeric<T>::widen(shift[at.of(k)]);
    return Numeric<T>::narrow(sub<T>(Numeric<T>::widen(before), s));
  });
}

// From the matrix of axis -1 to the tensor: element (r, d) stands in row r % g, column
// d * blocks + r / g.
template <class T>
__global__ void quanto_ungroup_kernel(Strided<const T> matrix, int g, int cols, int dim, int n,
                                      Strided<T> y, const __grid_constant__ KvRows rows) {
  const int i = static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x);
  if (i >= n) return;
  const int r = i / dim, d = i % dim;
  y.at(values_of(rows))[i] = matrix.at(blockIdx.y)[(r % g) * cols + d * (cols / dim) + r / g];
}

}  // namespace kvtoll::device_formats
