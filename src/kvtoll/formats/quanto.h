// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// int4-quanto and int2-quanto: Hugging Face's quanto cache (optimum-quanto 0.2.7, MaxOptimizer and
// WeightQBitsTensor), bit for bit. This block is the specification; quanto.cc is the oracle.
//
// One tensor [kv_head, pos, dim], linear index i = (head * tokens + pos) * dim + d; group size g.
//   axis  0: matrix [N/g, g], a group is a row: g consecutive elements. Rule: g divides N.
//   axis -1: matrix [g, dim * A], A = kv_heads * tokens / g; element (r, d), r = head * tokens +
//            pos, stands in row r % g, column d * A + r / g; a group is a column: one channel over
//            g consecutive rows. Rule: g divides kv_heads * tokens.
// A group (fl = round to the cache dtype, nearest even; every operation rounds):
//   scale = fl(fl(max - min) / (2^bits - 1)),  shift = -min          both kept in the cache dtype
//   code  = clamp(rint_half_even(fl(fl(x + shift) / scale)), 0, 2^bits - 1)
//   x'    = fl(fl(scale * code) - shift)
// Edges: NaN anywhere makes its group NaN; max - min beyond the dtype's range gives scale inf and
// x' NaN; scale 0 (constant group) gives 0/0, whose code is undefined in the library and 0 here,
// and x' = min either way. With one group in all (axis 0), the library drops the axis: scale and
// shift per element, exact.
// Packing: code (r, c) of the matrix goes to byte [r % rows_p, c], bits [bits * (r / rows_p)],
// rows_p = ceil(rows / (8 / bits)): int4 has the first half of the rows in the low nibbles.
#pragma once

#include "kvtoll/formats/codec.h"

namespace kvtoll {

constexpr int64_t quanto_packed_bytes(int bits, int64_t rows, int64_t cols) {
  const int64_t per_byte = 8 / bits;
  return (rows + per_byte - 1) / per_byte * cols;
}
// A token of Qwen2.5-7B's keys (4 heads x 128, group 64: 8 rows): 256 + 128 bytes of int4 + int2
// payload, beside 8 scales and 8 shifts.
static_assert(quanto_packed_bytes(4, 8, 64) == 256);
static_assert(quanto_packed_bytes(2, 8, 64) == 128);
static_assert(quanto_packed_bytes(4, 3, 64) == 128, "rows are padded");

Result<GroupLayout> quanto_layout(const KvFormat& format, const KvShape& shape);
Quantized quanto_encode(const KvFormat& format, DType dtype, std::span<const float> x, int64_t dim,
                        const GroupLayout& layout);
void quanto_decode(const KvFormat& format, DType dtype, const Quantized& q, const KvShape& shape,
                   std::span<float> out);
std::vector<uint8_t> quanto_pack(int bits, const Quantized& q);
void quanto_unpack_row(int bits, const uint8_t* packed, int64_t rows, int64_t cols, int64_t row,
                       int64_t begin, int64_t end, uint8_t* out);

// x' = fl(fl(scale * code) - shift): the one place of the formula on the host.
template <class Round>
inline __attribute__((always_inline)) float quanto_value(Round fl, float code, float scale,
                                                         float shift) {
  return fl(fl(scale * code) - shift);
}

}  // namespace kvtoll
