// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Where the elements of a group are and where its scale goes, on the device; and the two ways of
// giving groups to threads. All counts are below 2^31 (kv_device_layout checks).
#pragma once

#include "kvtoll/formats/device_numeric.cuh"
#include "kvtoll/formats/kv_device.h"

namespace kvtoll::device_formats {

// kRow, kColumn: rows and columns of the library's matrix. kChannel: a column of quanto's axis -1.
// kSingle: every element its own group.
enum class Order : uint8_t { kRow, kColumn, kChannel, kSingle };

// An array of every sequence, `stride` elements apart. The y of a launch's grid counts its rows.
template <class T>
struct Strided {
  T* first = nullptr;
  int64_t stride = 0;
  __device__ __forceinline__ T* at(int place) const { return first + place * stride; }
};
template <class T>
Strided<const T> read_only(const Strided<T>& array) {
  return {array.first, array.stride};
}
__device__ __forceinline__ int store_of(const KvRows& rows) { return rows.store[blockIdx.y]; }
__device__ __forceinline__ int values_of(const KvRows& rows) { return rows.values[blockIdx.y]; }

struct Groups {
  Order order = Order::kRow;
  int count = 0;     // groups in x
  int size = 0;      // elements in each
  int cols = 0;      // of the matrix
  int dim = 0;       // of a head's vector
  int per_head = 0;  // elements of x in a head
  int64_t head_stride = 0;

  // Element j of group g in linear order.
  __device__ __forceinline__ int linear(int g, int j) const {
    switch (order) {
      case Order::kRow:
        return g * size + j;
      case Order::kColumn:
        return j * cols + g;
      case Order::kChannel: {
        const int blocks = cols / dim;
        return ((g % blocks) * size + j) * dim + g / blocks;
      }
      default:
        return g;
    }
  }
  __device__ __forceinline__ int64_t address(int i) const {
    if (head_stride == per_head) return i;
    const int head = i / per_head;
    return head * head_stride + (i - head * per_head);
  }
  // The group that a thread (or warp) takes: neighbours read neighbouring memory.
  __device__ __forceinline__ int taken(int t) const {
    return order == Order::kChannel ? (t % dim) * (cols / dim) + t / dim : t;
  }
};

// Where group g of x has its scale: in the matrix's order, or token by token.
struct ScalePlace {
  bool token_major = false;
  int tokens = 0;      // of x
  int first = 0;       // position of x's first token in the store
  int heads = 0;       // kv heads
  int per_vector = 0;  // groups of a head's vector

  __device__ __forceinline__ int64_t of(int g) const {
    if (!token_major) return g;
    const int vector = g / per_vector, head = vector / tokens, pos = vector % tokens;
    return (int64_t{first + pos} * heads + head) * per_vector + g % per_vector;
  }
};

struct Range {
  float low, high;
};

// Smallest and largest element of a group; NaN if one is NaN. kWarp: by the 32 lanes together (all
// get the result), otherwise by one thread.
template <class T, bool kWarp>
__device__ __forceinline__ Range range_of(const T* __restrict__ x, const Groups& groups, int g) {
  const int lane = kWarp ? threadIdx.x % 32 : 0;
  float low = INFINITY, high = -INFINITY;
  bool nan = false;
  for (int j = lane; j < groups.size; j += kWarp ? 32 : 1) {
    const float value = Numeric<T>::widen(x[groups.address(groups.linear(g, j))]);
    low = value < low ? value : low;
    high = value > high ? value : high;
    nan |= value != value;
  }
  if constexpr (kWarp) {
    for (int offset = 16; offset > 0; offset /= 2) {
      low = fminf(low, __shfl_xor_sync(~0u, low, offset));
      high = fmaxf(high, __shfl_xor_sync(~0u, high, offset));
    }
    nan = __any_sync(~0u, nan);
  }
  return nan ? Range{NAN, NAN} : Range{low, high};
}

// The group of this thread or warp; -1 beyond the last.
template <bool kWarp>
__device__ __forceinline__ int my_group(const Groups& groups) {
  const int t =
      static_cast<int>((int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / (kWarp ? 32 : 1));
  return t < groups.count ? groups.taken(t) : -1;
}

// Packed codes: which codes a byte (3 bit: an int32) of the store holds.
struct Packing {
  bool token_major = false;
  bool high_first = false;  // HQQ's matrices; otherwise the first part is in the low bits
  int bits = 0;
  int parts = 0;           // codes in a byte (3 bit: ten in a word)
  int units = 0;           // bytes (words) of x's codes
  int unit_row = 0;        // bytes (words) from one part to the next: rows_p * cols, or V
  int rows = 0, cols = 0;  // of the matrix
  // token_major:
  int tokens = 0, first = 0, heads = 0, dim = 0;

  __device__ __forceinline__ int shift(int part) const {
    if (!high_first) return bits * part;
    return bits == 3 ? 27 - 3 * part : 8 - bits * (part + 1);
  }
  // Linear index of the code in part `part` of unit u, -1 where there is none (padding).
  // token_major: u counts [pos, kv_head, V] of x's tokens.
  __device__ __forceinline__ int linear(int u, int part) const {
    if (token_major) {
      const int b = u % unit_row, vector = u / unit_row;
      const int head = vector % heads, pos = vector / heads, d = part * unit_row + b;
      return d < dim ? (head * tokens + pos) * dim + d : -1;
    }
    const int i = part * unit_row + u;
    return i < rows * cols ? i : -1;
  }
  // Where unit u stands in the store.
  __device__ __forceinline__ int64_t place(int u) const {
    return token_major ? int64_t{first} * heads * unit_row + u : u;
  }
};

// Packs the codes of unit u: coder(linear index) gives a code.
template <class Word, class Coder>
__device__ __forceinline__ void pack_unit(const Packing& packing, int u, Word* __restrict__ codes,
                                          const Coder& coder) {
  uint32_t word = 0;
  for (int part = 0; part < packing.parts; ++part) {
    const int i = packing.linear(u, part);
    if (i >= 0) word |= coder(i) << packing.shift(part);
  }
  codes[packing.place(u)] = static_cast<Word>(word);
}

// The group of linear element i.
struct GroupOf {
  Order order = Order::kRow;
  int size = 0, cols = 0, dim = 0;
  __device__ __forceinline__ int of(int i) const {
    switch (order) {
      case Order::kRow:
        return i / size;
      case Order::kColumn:
        return i % cols;
      case Order::kChannel:
        return (i % dim) * (cols / dim) + i / dim / size;
      default:
        return i;
    }
  }
};

// Where the four elements of this thread (map_four) have their scales: one division for the four
// where they share a scale or have neighbouring ones.
class QuadScales {
 public:
  __device__ __forceinline__ QuadScales(const GroupOf& group_of, const ScalePlace& place)
      : group_of_(group_of),
        place_(place),
        i_(4 * static_cast<int>(int64_t{blockIdx.x} * blockDim.x + threadIdx.x)) {
    const int group = group_of.of(i_);
    first_ = place.of(group);
    if (group_of.order == Order::kRow && group_of.size % 4 == 0) step_ = 0;
    if (group_of.order == Order::kColumn && group + 4 <= group_of.cols) step_ = 1;
  }
  __device__ __forceinline__ int64_t of(int k) const {
    return step_ >= 0 ? first_ + step_ * k : place_.of(group_of_.of(i_ + k));
  }

 private:
  const GroupOf& group_of_;
  const ScalePlace& place_;
  int i_, step_ = -1;
  int64_t first_;
};

}  // namespace kvtoll::device_formats
