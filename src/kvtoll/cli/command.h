// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One file per command: argument -> call -> print, no logic. setup_NAME adds the command's options
// to `app` and a callback that stores the exit code (result.h: ErrorKind). Results go to stdout,
// everything else to stderr.
#pragma once

#include <string>
#include <vector>

#include "kvtoll/core/result.h"

namespace CLI {
class App;
}

namespace kvtoll::cli {

using ExitCode = int;

// Prints "kvtoll: MESSAGE" to stderr and returns the exit code of its kind.
ExitCode fail(const Error& error);

// True once the user has pressed Ctrl-C (or SIGTERM came); long loops ask and stop between units of
// work.
bool interrupted();

// argv, for records.
const std::vector<std::string>& command_line();

void setup_run(CLI::App& app, ExitCode& exit_code);
void setup_eval(CLI::App& app, ExitCode& exit_code);
void setup_grade(CLI::App& app, ExitCode& exit_code);
void setup_fidelity(CLI::App& app, ExitCode& exit_code);
void setup_report(CLI::App& app, ExitCode& exit_code);
void setup_compare(CLI::App& app, ExitCode& exit_code);
void setup_import(CLI::App& app, ExitCode& exit_code);
void setup_validate(CLI::App& app, ExitCode& exit_code);
void setup_doctor(CLI::App& app, ExitCode& exit_code);
void setup_generate(CLI::App& app, ExitCode& exit_code);
void setup_tokenize(CLI::App& app, ExitCode& exit_code);
void setup_formats(CLI::App& app, ExitCode& exit_code);
void setup_models(CLI::App& app, ExitCode& exit_code);
void setup_schema(CLI::App& app, ExitCode& exit_code);

}  // namespace kvtoll::cli
