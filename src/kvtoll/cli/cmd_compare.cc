// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/report/compare.h"

namespace kvtoll::cli {

void setup_compare(CLI::App& app, ExitCode& exit_code) {
  struct Arguments {
    std::string a, b;
    std::optional<double> fail_above;
    bool json = false;
  };
  auto arguments = std::make_shared<Arguments>();
  app.add_option("A", arguments->a, "a record or a results folder")->required();
  app.add_option("B", arguments->b, "what is compared with it")->required();
  app.add_option("--fail-above", arguments->fail_above,
                 "exit with 1 if B is slower than A by more than this percentage");
  app.add_flag("--json", arguments->json, "differences as JSON");
  app.callback([&exit_code, arguments] {
    auto comparison = report::compare(arguments->a, arguments->b);
    if (!comparison) {
      exit_code = fail(comparison.error());
      return;
    }
    fmt::print("{}", arguments->json ? comparison->json() : comparison->text);
    exit_code = 0;
    if (!arguments->fail_above) return;
    for (const std::string& slower : comparison->slower_than(*arguments->fail_above)) {
      fmt::print(stderr, "kvtoll: slower: {}\n", slower);
      exit_code = static_cast<ExitCode>(ErrorKind::kFailed);
    }
  });
}

}  // namespace kvtoll::cli
