// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/quality/accuracy_report.h"
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
    const auto accuracy = compare_accuracy(arguments->a, arguments->b);
    if (!accuracy) {
      exit_code = fail(accuracy.error());
      return;
    }
    if (*accuracy && !arguments->json) fmt::print("{}", **accuracy);
    if (*accuracy && std::filesystem::is_regular_file(arguments->a)) {
      exit_code = 0;
      return;
    }
    auto comparison = report::compare(arguments->a, arguments->b);
    if (!comparison) {  // folders that hold answers alone are compared above
      exit_code = *accuracy ? 0 : fail(comparison.error());
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
