// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Quantization of one tensor as the real libraries do it: [kv_head, pos, dim] -> a two-dimensional
// matrix of codes with one scale and one offset per group -> packed bytes. This is the oracle that
// golden tensors, stores and device code are compared with; quanto.h and hqq.h specify the schemes.
// Example: KVTOLL_TRY(Quantized q, kv_encode(format, DType::kF16, x, {heads, tokens, dim}));
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/formats/kv_format.h"

namespace kvtoll {

// The tensor of one layer of one sequence; linear order ((head * tokens) + pos) * dim + d.
struct KvShape {
  int64_t kv_heads = 0, tokens = 0, dim = 0;
  int64_t elements() const { return kv_heads * tokens * dim; }
};

struct Quantized {
  int64_t rows = 0, cols = 0;
  std::vector<uint8_t> codes;  // [rows, cols], unpacked, one a byte
  // One value per group of the cache dtype, as float. quanto: scale and shift (x' = scale * code -
  // shift). HQQ: step and zero (x' = (code - zero) * step).
  std::vector<float> scale, offset;
  int iterations = 0;  // of HQQ's solver
};

// How the library lays groups over the matrix.
struct GroupLayout {
  int64_t rows = 0, cols = 0;
  // kRow: a group is a row (quanto axis 0, HQQ axis 1). kColumn: a group is a column (HQQ axis 0,
  // quanto axis -1). kSingle: quanto with a single group along axis 0 drops the axis: every element
  // is its own group and is kept exactly.
  enum Kind : uint8_t { kRow, kColumn, kSingle } kind = kRow;
  int64_t groups() const { return kind == kRow ? rows : cols; }
};

// Errors: kUnsupported, with the library's rule, where it refuses the shape.
Result<GroupLayout> kv_group_layout(const KvFormat& format, const KvShape& shape);

// x: [kv_head, pos, dim], values exactly representable in `dtype`. Errors as kv_group_layout.
// The second form takes the layout as given: a part of a store whose whole obeys the rules.
Result<Quantized> kv_encode(const KvFormat& format, DType dtype, std::span<const float> x,
                            const KvShape& shape);
Quantized kv_encode(const KvFormat& format, DType dtype, std::span<const float> x, int64_t dim,
                    const GroupLayout& layout);
// out: [kv_head, pos, dim].
void kv_decode(const KvFormat& format, DType dtype, const Quantized& q, const KvShape& shape,
               std::span<float> out);

// The bytes that the library stores for these codes (its payload, without scales).
std::vector<uint8_t> kv_pack(const KvFormat& format, const Quantized& q);
int64_t kv_packed_bytes(const KvFormat& format, int64_t rows, int64_t cols);
// Codes of columns [begin, end) of one row out of packed bytes.
void kv_unpack_row(const KvFormat& format, const uint8_t* packed, int64_t rows, int64_t cols,
                   int64_t row, int64_t begin, int64_t end, uint8_t* out);

}  // namespace kvtoll
