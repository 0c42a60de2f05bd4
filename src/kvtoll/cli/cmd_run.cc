// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include "kvtoll/cli/command.h"

namespace kvtoll::cli {

void setup_run(CLI::App& app, ExitCode& exit_code) {
  app.callback([&exit_code] { exit_code = fail({ErrorKind::kFailed, "run is not built yet"}); });
}

}  // namespace kvtoll::cli
