// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/gnuplot.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>

#include "kvtoll/core/files.h"

extern char** environ;

namespace kvtoll::report {
namespace {

// Exit status of `gnuplot ARGUMENTS`, its stderr in `log`; 127 when there is no such program.
int run_gnuplot(std::vector<std::string> arguments, const std::filesystem::path& log) {
  arguments.insert(arguments.begin(), "gnuplot");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0644);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, "gnuplot", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return 127;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

std::string quoted(const std::filesystem::path& path) {
  std::string out = "'";
  for (const char c : path.string()) out.append(c == '\'' ? 2 : 1, c);  // gnuplot doubles them
  return out + "'";
}

}  // namespace

PlotScript::PlotScript(std::string name, int width, int height)
    : name_(std::move(name)), width_(width), height_(height) {}

void PlotScript::data(const std::string& name, const std::vector<std::string>& rows) {
  body_ += name + " << EOD\n";
  for (const std::string& row : rows) body_ += row + "\n";
  body_ += "EOD\n";
}

std::string PlotScript::text() const {
  std::string id = name_;  // prefix of the SVG's ids, so that several can stand in one page
  for (char& c : id)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return fmt::format(
      "# gnuplot -e \"out='{0}.svg'\" {0}.gp        (with png=1 too for a PNG)\n"
      "if (exists(\"png\")) {{\n"
      "  set terminal pngcairo size {1},{2} enhanced font 'sans,11' background rgb 'white'\n"
      "}} else {{\n"
      "  set terminal svg size {1},{2} dynamic enhanced font 'sans,13' name '{4}'\n"
      "}}\n"
      "set output out\n"
      "set border 3 lw 1 lc rgb '#888888'\n"
      "set tics nomirror out\n"
      "set grid ytics lw 1 lc rgb '#dddddd'\n"
      "set key noautotitle\n{3}",
      name_, width_, height_, body_, id);
}

std::string plot_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("_^{}@&~").find(c) != std::string_view::npos) out += "\\\\";
    if (c == '"') out += '\\';
    out += c;
  }
  return out;
}

Result<std::string> draw(const std::filesystem::path& folder, const PlotScript& script) {
  const std::filesystem::path base = folder / script.name();
  const auto file = [&](const char* ending) {
    return std::filesystem::path(base.string() + ending);
  };
  const std::filesystem::path log = file(".log");
  KVTOLL_TRY_VOID(write_file_atomic(file(".gp"), script.text()));
  for (const bool png : {true, false}) {
    std::vector<std::string> arguments = {"-e", "out=" + quoted(file(png ? ".png" : ".svg"))};
    if (png) arguments.insert(arguments.end(), {"-e", "png=1"});
    arguments.push_back(file(".gp").string());
    const int status = run_gnuplot(arguments, log);
    if (status == 127)
      return machine_error("no figures: gnuplot is not installed (apt-get install gnuplot-nox)");
    if (status != 0) {
      const auto said = read_file(log);
      return machine_error("{}: gnuplot failed with {}: {}", file(".gp").string(), status,
                           said ? *said : "");
    }
  }
  std::error_code ec;
  std::filesystem::remove(log, ec);
  return read_file(file(".svg"));
}

}  // namespace kvtoll::report
