// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Packs and unpacks gzip files held in memory. Example:
//   if (is_gzip(bytes)) KVTOLL_TRY(text, gunzip(bytes));
#pragma once

#include <string>
#include <string_view>

#include "kvtoll/core/result.h"

namespace kvtoll::profiler {

bool is_gzip(std::string_view bytes);
std::string gzip(std::string_view bytes);

// Errors: kInput when the data is cut off, damaged or larger than `limit` bytes unpacked.
Result<std::string> gunzip(std::string_view bytes, size_t limit = size_t{8} << 30);

}  // namespace kvtoll::profiler
