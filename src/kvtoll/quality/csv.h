// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Comma-separated values after RFC 4180: quoted fields, doubled quotes, line ends inside fields.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/result.h"

namespace kvtoll {

// Rows of fields; a byte order mark and a missing last line end are accepted. Errors: kInput naming
// `where` and the line of a quote that never closes or of text behind a closing quote.
Result<std::vector<std::vector<std::string>>> parse_csv(std::string_view text,
                                                        const std::string& where);

}  // namespace kvtoll
