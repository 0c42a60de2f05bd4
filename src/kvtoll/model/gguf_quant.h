// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What the bytes of GGUF's tensor types mean. A row is a sequence of blocks; a block holds one or
// two fp16 scales and the packed codes; K-blocks hold 256 values in 8 or 16 groups with their own
// small scales. All arithmetic is fp32, one rounding per operation, in the order written here.
// Example: decode_gguf(*find_gguf_type(12), blocks, values);
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kvtoll/model/gguf.h"

namespace kvtoll {

struct GgufHalf {
  std::array<uint8_t, 2> bytes;  // fp16, little-endian
  float value() const;
};

struct GgufQ4_0 {  // value[i] = d (low4(q[i]) - 8), value[i + 16] = d (high4(q[i]) - 8)
  GgufHalf d;
  std::array<uint8_t, 16> q;
};
struct GgufQ4_1 {  // value[i] = d low4(q[i]) + m, value[i + 16] = d high4(q[i]) + m
  GgufHalf d, m;
  std::array<uint8_t, 16> q;
};
struct GgufQ8_0 {  // value[i] = d q[i]
  GgufHalf d;
  std::array<int8_t, 32> q;
};
// Groups g of 32: value = (d scale[g]) code - (dmin min[g]). scale and min have 6 bits: those of
// groups 0..3 in the low bits of scales[g] and scales[g + 4]; of groups 4..7 the low 4 bits in the
// nibbles of scales[g + 4] and the high 2 bits in the top bits of scales[g - 4] and scales[g].
// Codes: byte 32 p + i of q holds element i of group 2 p in its low and of 2 p + 1 in its high
// nibble.
struct GgufQ4_K {
  GgufHalf d, dmin;
  std::array<uint8_t, 12> scales;
  std::array<uint8_t, 128> q;
};
struct GgufQ5_K {  // as Q4_K; bit g of high[i] is bit 4 of the code of element i of group g
  GgufHalf d, dmin;
  std::array<uint8_t, 12> scales;
  std::array<uint8_t, 32> high;
  std::array<uint8_t, 128> q;
};
// Groups g of 16: value = (d scales[g]) (code - 32). Codes of half h (128 values), quarter k
// (32 values): low 4 bits in low[64 h + 32 (k % 2) + i], low nibble for k < 2, high nibble after;
// high 2 bits are bits 2 k of high[32 h + i].
struct GgufQ6_K {
  std::array<uint8_t, 128> low;
  std::array<uint8_t, 64> high;
  std::array<int8_t, 16> scales;
  GgufHalf d;
};
static_assert(sizeof(GgufQ4_0) == 18 && sizeof(GgufQ4_1) == 20 && sizeof(GgufQ8_0) == 34);
static_assert(sizeof(GgufQ4_K) == 144 && sizeof(GgufQ5_K) == 176 && sizeof(GgufQ6_K) == 210);

// F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K, Q5_K, Q6_K.
bool can_decode_gguf(const GgufType& type);
// values.size() is whole blocks and `blocks` their bytes (a programmer error otherwise).
void decode_gguf(const GgufType& type, std::span<const std::byte> blocks, std::span<float> values);

}  // namespace kvtoll
