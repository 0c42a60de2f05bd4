// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// fp16, bf16, fp32: no quantization. A value is stored in the format's dtype, nearest even;
// layout [pos, kv_head, dim]. With the cache's own dtype the round trip is exact.
#pragma once

#include <memory>

#include "kvtoll/formats/kv_store.h"

namespace kvtoll {

static_assert(dtype_size(DType::kF16) == 2 && dtype_size(DType::kBF16) == 2);

std::unique_ptr<KvStore> make_exact_store(const KvFormat& format, int kv_heads, int head_dim);

}  // namespace kvtoll
