// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <memory>

#include "kvtoll/cli/command.h"
#include "kvtoll/quality/validate_answers.h"
#include "kvtoll/report/validate.h"

namespace kvtoll::cli {

void setup_validate(CLI::App& app, ExitCode& exit_code) {
  auto folder = std::make_shared<std::string>("kvtoll-results");
  app.add_option("folder", *folder, "results folder")->capture_default_str();
  app.callback([&exit_code, folder] {
    auto validation = report::validate_results(*folder);
    if (!validation) {
      exit_code = fail(validation.error());
      return;
    }
    const std::filesystem::path accuracy = std::filesystem::path(*folder) / "accuracy";
    AnswerValidation answers;
    if (std::filesystem::is_directory(accuracy)) answers = validate_eval_folder(accuracy);
    validation->problems.insert(validation->problems.end(), answers.problems.begin(),
                                answers.problems.end());
    for (const std::string& note : validation->notes) fmt::print("{}\n", note);
    for (const std::string& problem : validation->problems) fmt::print("problem: {}\n", problem);
    fmt::print("{} records, {} evaluations, {} studies, {} problems\n", validation->records,
               answers.records, validation->studies, validation->problems.size());
    exit_code = validation->problems.empty() ? 0 : static_cast<ExitCode>(ErrorKind::kFailed);
  });
}

}  // namespace kvtoll::cli
