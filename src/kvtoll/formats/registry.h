// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The names of KV formats: what each stands for by default, and the names that the contract keeps
// for formats which no code serves yet. kv_format.cc parses specs against it.
// Example: if (const KvFormat* format = find_kv_format("int4-quanto")) ...
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/formats/kv_format.h"

namespace kvtoll {

const KvFormat* find_kv_format(std::string_view name);  // defaults; nullptr: no such format
bool is_reserved_kv_format(std::string_view name);      // in the contract, not built
std::string kv_format_names();                          // "fp16, bf16, ..."
// The built-in name with the smallest edit distance, empty if none is near.
std::string nearest_kv_format(std::string_view name);

}  // namespace kvtoll
