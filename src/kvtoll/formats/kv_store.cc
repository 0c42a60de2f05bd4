// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/kv_store.h"

#include "kvtoll/core/check.h"
#include "kvtoll/formats/codec.h"
#include "kvtoll/formats/exact.h"
#include "kvtoll/formats/token_store.h"
#include "kvtoll/formats/whole_store.h"

namespace kvtoll {

std::unique_ptr<KvStore> make_kv_store(const KvFormat& format, DType dtype, int kv_heads,
                                       int head_dim) {
  KVTOLL_CHECK(kv_heads > 0 && head_dim > 0, "{} heads, head_dim {}", kv_heads, head_dim);
  if (!format.quantized()) return make_exact_store(format, kv_heads, head_dim);
  if (groups_inside_vector(format, kv_heads, head_dim))
    return make_token_store(format, dtype, kv_heads, head_dim);
  return make_whole_store(format, dtype, kv_heads, head_dim);
}

StoreBytes kv_store_bytes(const KvFormat& format, DType dtype, int kv_heads, int head_dim,
                          int64_t tokens) {
  const int64_t vectors = tokens * kv_heads;
  if (!format.quantized()) return {Bytes(vectors * head_dim * dtype_size(format.dtype)), Bytes(0)};
  if (tokens == 0) return {};
  const int64_t per_group = 2 * dtype_size(dtype);  // scale and offset
  const auto layout = kv_group_layout(format, {kv_heads, tokens, head_dim});
  if (!layout) return {};  // the store refuses this shape and holds nothing
  if (groups_inside_vector(format, kv_heads, head_dim))
    return {Bytes(vectors * token_store_vector_bytes(format.bits, head_dim)),
            Bytes(vectors * (head_dim / format.group) * per_group)};
  return {Bytes(kv_packed_bytes(format, layout->rows, layout->cols)),
          Bytes(layout->groups() * per_group)};
}

}  // namespace kvtoll
