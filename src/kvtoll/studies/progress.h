// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Where a study stands, on stderr: one line that is rewritten on a terminal, a plain line per
// finished configuration elsewhere. Example:
//   Progress progress(32, steps, Progress::Style::kPlain);
//   progress.phase("m.fp16.n256.r128.cpu", "run 1/3");  progress.step(1);
//   progress.finish("m.fp16.n256.r128.cpu", "ok, 812 tok/s");
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

#include "kvtoll/core/clock.h"

namespace kvtoll::studies {

class Progress {
 public:
  enum class Style : uint8_t { kQuiet, kPlain, kTerminal };
  // configurations and decode steps that are left to do in all.
  Progress(int64_t configurations, int64_t steps, Style style, std::FILE* out = stderr);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  static Style style_for(bool quiet);  // terminal if stderr is one

  void note(std::string_view text);  // "loading models/scribe"; shown at once
  void phase(std::string_view configuration, std::string_view what);
  void step(int64_t batch);    // one decode step of the phase, `batch` tokens
  void skip_steps(int64_t n);  // steps that will not be taken after all
  void status(std::string_view configuration, std::string_view what);  // on a terminal only
  void finish(std::string_view configuration, std::string_view outcome);

  // "1:05" or "2 h 03"; from the pace so far. Empty before the first step.
  std::string time_left() const;

 private:
  void draw();
  void clear_line();
  int64_t configurations_, steps_;
  int64_t finished_ = 0, steps_done_ = 0;
  int64_t phase_tokens_ = 0;
  std::string configuration_, what_;
  Style style_;
  std::FILE* out_;
  Nanoseconds begin_{}, phase_begin_{}, last_draw_{}, last_step_{};
};

std::string duration_text(double seconds);

}  // namespace kvtoll::studies
