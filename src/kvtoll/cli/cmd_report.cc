// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/report/report.h"

namespace kvtoll::cli {

void setup_report(CLI::App& app, ExitCode& exit_code) {
  struct Arguments {
    std::vector<std::string> folders;
    std::string out;
  };
  auto arguments = std::make_shared<Arguments>();
  app.add_option("folders", arguments->folders, "result folders (default: kvtoll-results)");
  app.add_option("--out", arguments->out, "where to write (default: the first folder)");
  app.callback([&exit_code, arguments] {
    auto& folders = arguments->folders;
    if (folders.empty()) folders.push_back("kvtoll-results");
    const std::vector<std::filesystem::path> places(folders.begin(), folders.end());
    auto files =
        report::write_report(places, arguments->out.empty() ? folders.front() : arguments->out);
    if (!files) {
      exit_code = fail(files.error());
      return;
    }
    for (const std::string& note : files->notes) fmt::print(stderr, "kvtoll: {}\n", note);
    fmt::print("{}\n{}\n{}\n", files->csv.string(), files->markdown.string(), files->html.string());
    exit_code = 0;
  });
}

}  // namespace kvtoll::cli
