// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/report/schema.h"

namespace kvtoll::cli {

void setup_schema(CLI::App& app, ExitCode& exit_code) {
  auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "the table as JSON");
  app.callback([&exit_code, json] {
    fmt::print("{}", *json ? report::schema_json() : report::schema_text());
    exit_code = 0;
  });
}

}  // namespace kvtoll::cli
