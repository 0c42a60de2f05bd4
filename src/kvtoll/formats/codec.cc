// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/codec.h"

#include "kvtoll/core/check.h"
#include "kvtoll/formats/hqq.h"
#include "kvtoll/formats/quanto.h"

namespace kvtoll {

Result<GroupLayout> kv_group_layout(const KvFormat& format, const KvShape& shape) {
  KVTOLL_CHECK(format.quantized(), "{} has no groups", format.name);
  return format.scheme == KvScheme::kQuanto ? quanto_layout(format, shape)
                                            : hqq_layout(format, shape);
}

Result<Quantized> kv_encode(const KvFormat& format, DType dtype, std::span<const float> x,
                            const KvShape& shape) {
  KVTOLL_CHECK(static_cast<int64_t>(x.size()) == shape.elements(), "{} values for {}", x.size(),
               shape.elements());
  KVTOLL_TRY(const GroupLayout layout, kv_group_layout(format, shape));
  return kv_encode(format, dtype, x, shape.dim, layout);
}

Quantized kv_encode(const KvFormat& format, DType dtype, std::span<const float> x, int64_t dim,
                    const GroupLayout& layout) {
  return format.scheme == KvScheme::kQuanto ? quanto_encode(format, dtype, x, dim, layout)
                                            : hqq_encode(format, dtype, x, layout);
}

void kv_decode(const KvFormat& format, DType dtype, const Quantized& q, const KvShape& shape,
               std::span<float> out) {
  KVTOLL_CHECK(static_cast<int64_t>(out.size()) == shape.elements(), "{} values for {}", out.size(),
               shape.elements());
  if (format.scheme == KvScheme::kQuanto) return quanto_decode(format, dtype, q, shape, out);
  hqq_decode(format, dtype, q, out);
}

std::vector<uint8_t> kv_pack(const KvFormat& format, const Quantized& q) {
  return format.scheme == KvScheme::kQuanto ? quanto_pack(format.bits, q)
                                            : hqq_pack(format.bits, q);
}

int64_t kv_packed_bytes(const KvFormat& format, int64_t rows, int64_t cols) {
  return format.scheme == KvScheme::kQuanto ? quanto_packed_bytes(format.bits, rows, cols)
                                            : hqq_packed_bytes(format.bits, rows, cols);
}

void kv_unpack_row(const KvFormat& format, const uint8_t* packed, int64_t rows, int64_t cols,
                   int64_t row, int64_t begin, int64_t end, uint8_t* out) {
  if (format.scheme == KvScheme::kQuanto)
    return quanto_unpack_row(format.bits, packed, rows, cols, row, begin, end, out);
  hqq_unpack_row(format.bits, packed, rows, cols, row, begin, end, out);
}

}  // namespace kvtoll
