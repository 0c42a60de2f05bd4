// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The append-only store of formats whose groups lie inside one head's vector (quanto axis 0 and HQQ
// axis 1 with a group that divides head_dim). Own layout, token by token:
//   codes  [pos, kv_head, V], V = ceil(dim * bits / 8): element d in byte d % V, bits [bits * (d /
//   V)] scale, offset [pos, kv_head, dim / group]    in the cache dtype
// The same bytes on the host and on the device (kv_device.h). Codes, scales and offsets are those
// of the library for the tokens that came in one call.
#pragma once

#include <memory>

#include "kvtoll/formats/kv_store.h"

namespace kvtoll {

constexpr int64_t token_store_vector_bytes(int bits, int64_t dim) { return (dim * bits + 7) / 8; }
static_assert(token_store_vector_bytes(4, 128) == 64 && token_store_vector_bytes(1, 128) == 16);

// One head's vector: codes [dim] -> out [V].
void pack_vector(int bits, const uint8_t* codes, int64_t dim, uint8_t* out);

// Does this format store a token without touching others?
bool groups_inside_vector(const KvFormat& format, int kv_heads, int head_dim);

std::unique_ptr<KvStore> make_token_store(const KvFormat& format, DType dtype, int kv_heads,
                                          int head_dim);

}  // namespace kvtoll
