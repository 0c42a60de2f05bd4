// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// --attention and --launch of the commands that want values, however computed.
#pragma once

#include "kvtoll/quality/eval_config.h"

namespace CLI {
class App;
}

namespace kvtoll::cli {

void add_path_options(CLI::App& app, PathWish& path);

}  // namespace kvtoll::cli
