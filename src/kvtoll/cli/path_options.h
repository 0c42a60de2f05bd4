// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Options of several commands: --attention and --launch (a wish where only values count),
// --prefill,
// --dtype.
#pragma once

#include <optional>

#include "kvtoll/backends/backend.h"
#include "kvtoll/core/dtype.h"
#include "kvtoll/quality/eval_config.h"

namespace CLI {
class App;
}

namespace kvtoll::cli {

void add_path_options(CLI::App& app, PathWish& path);
void add_path_options(CLI::App& app, BackendOptions& options);
void add_prefill_option(CLI::App& app, Prefill& prefill);
void add_dtype_option(CLI::App& app, std::optional<DType>& dtype);

}  // namespace kvtoll::cli
