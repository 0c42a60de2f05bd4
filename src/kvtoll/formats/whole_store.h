// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The store of formats whose groups reach over tokens (HQQ axis 0, quanto axis -1, groups larger
// than a head's vector): the library's own packed bytes and one scale and offset per group, rebuilt
// by every replace(). append() decodes, concatenates and replaces, as the library does.
#pragma once

#include <memory>

#include "kvtoll/formats/kv_store.h"

namespace kvtoll {

std::unique_ptr<KvStore> make_whole_store(const KvFormat& format, DType dtype, int kv_heads,
                                          int head_dim);

}  // namespace kvtoll
