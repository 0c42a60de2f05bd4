// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Figures by the gnuplot program: a script with its data inside is kept beside its SVG and PNG, so
// that anyone can redraw it. Example:
//   PlotScript plot("speed", 720, 400);  plot.data("$d", rows);  plot.line("plot $d with lines");
//   auto svg = draw("results/figures", plot);
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kvtoll/core/result.h"

namespace kvtoll::report {

class PlotScript {
 public:
  PlotScript(std::string name, int width, int height);
  void line(const std::string& text) { body_ += text + "\n"; }
  // An inline data block; `name` starts with '$'.
  void data(const std::string& name, const std::vector<std::string>& rows);

  const std::string& name() const { return name_; }
  std::string text() const;  // with the choice of terminal in front

 private:
  std::string name_;
  int width_, height_;
  std::string body_;
};

// Text inside gnuplot double quotes: enhanced mode's special characters and quotes are escaped.
std::string plot_text(std::string_view text);

// Writes folder/NAME.gp, NAME.svg and NAME.png; returns the SVG. Errors: kMachine when gnuplot is
// not installed (with the cure), refuses the script, or the folder cannot be written.
Result<std::string> draw(const std::filesystem::path& folder, const PlotScript& script);

}  // namespace kvtoll::report
