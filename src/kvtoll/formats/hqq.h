// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// int8-hqq ... int1-hqq: Hugging Face's HQQ cache (hqq 0.2.8, Quantizer with its defaults), bit for
// bit. This block and hqq_solver.h are the specification; hqq.cc is the oracle.
//
// One tensor [kv_head, pos, dim], N elements in linear order; group size g divides N.
//   axis 0 (the library's default): matrix [g, N/g], a group is a column: elements c + j * N/g, a
//          comb over all heads and tokens. Membership depends on the number of tokens, so the store
//          is requantized as a whole.
//   axis 1: matrix [N/g, g], a group is a row: g consecutive elements.
// A group, in float (every operation rounds, product and sum apart), M = 2^bits - 1:
//   s = (1 / (max - min)) * M;  1 where |max - min| <= 1e-4;  at most 2e4        (codes per unit)
//   z = -min * s;  then hqq_solver.h moves z (and rounds s and z to its own dtype)
//   code = clamp(rint_half_even(x * s + z), 0, M)
//   step = fl(solver_fl(1 / s)),  zero = fl(z)       both kept in the cache dtype, fl its rounding
//   x'   = fl(fl(code - zero) * step)
// Edges: a channel far from zero with a small range makes |z| exceed 65504: zero and x' are inf or
// NaN, as in the library; bf16 keeps 8 significant bits of zero. NaN codes are undefined in the
// library and 0 here.
// Packing (8 bit: none): byte [r % rows_p, c] has code (r, c) at bits [8 - bits * (r / rows_p +
// 1)], rows_p = rows / (8 / bits): the first rows in the HIGH bits, the opposite of quanto. Rule:
// 8/bits divides rows. 3 bit: ten codes in a little-endian int32, the first at bit 27; rows padded
// with zeros to a multiple of ten; rule: axis 0 only (the library cannot read axis 1 back).
#pragma once

#include "kvtoll/formats/codec.h"

namespace kvtoll {

constexpr int64_t hqq_packed_bytes(int bits, int64_t rows, int64_t cols) {
  if (bits == 3) return (rows + 9) / 10 * cols * 4;
  return rows * bits / 8 * cols;
}
// A token of 4 heads x 128 (group 64; axis 1: 8 rows of 64).
static_assert(hqq_packed_bytes(8, 8, 64) == 512);
static_assert(hqq_packed_bytes(4, 8, 64) == 256);
static_assert(hqq_packed_bytes(2, 8, 64) == 128);
static_assert(hqq_packed_bytes(1, 8, 64) == 64);
static_assert(hqq_packed_bytes(3, 64, 8) == 224, "64 rows padded to 70: 3.5 bit a value");

Result<GroupLayout> hqq_layout(const KvFormat& format, const KvShape& shape);
Quantized hqq_encode(const KvFormat& format, DType dtype, std::span<const float> x,
                     const GroupLayout& layout);
void hqq_decode(const KvFormat& format, DType dtype, const Quantized& q, std::span<float> out);
std::vector<uint8_t> hqq_pack(int bits, const Quantized& q);
void hqq_unpack_row(int bits, const uint8_t* packed, int64_t rows, int64_t cols, int64_t row,
                    int64_t begin, int64_t end, uint8_t* out);

// x' = fl(fl(code - zero) * step): the one place of the formula on the host.
template <class Round>
inline __attribute__((always_inline)) float hqq_value(Round fl, float code, float step,
                                                      float zero) {
  return fl(fl(code - zero) * step);
}

}  // namespace kvtoll
