// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace kvtoll::studies {
namespace {

constexpr Nanoseconds kRedraw{200'000'000};

double seconds(Nanoseconds t) { return static_cast<double>(t.value) * 1e-9; }

}  // namespace

std::string duration_text(double s) {
  const auto whole = static_cast<int64_t>(std::max(0.0, s) + 0.5);
  if (whole >= 3600) return fmt::format("{} h {:02}", whole / 3600, whole / 60 % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

Progress::Progress(int64_t configurations, int64_t steps, Style style, std::FILE* out)
    : configurations_(configurations), steps_(steps), style_(style), out_(out), begin_(now()) {
  last_step_ = begin_;
}

Progress::~Progress() { clear_line(); }

Progress::Style Progress::style_for(bool quiet) {
  if (quiet) return Style::kQuiet;
  return ::isatty(STDERR_FILENO) ? Style::kTerminal : Style::kPlain;
}

void Progress::clear_line() {
  if (style_ == Style::kTerminal) fmt::print(out_, "\r\033[K");
}

void Progress::note(std::string_view text) {
  if (style_ == Style::kQuiet) return;
  clear_line();
  fmt::print(out_, "{}{}", text, style_ == Style::kTerminal ? "" : "\n");
  std::fflush(out_);
  last_step_ = now();
}

void Progress::phase(std::string_view configuration, std::string_view what) {
  configuration_ = configuration;
  what_ = what;
  phase_tokens_ = 0;
  phase_begin_ = now();
}

void Progress::step(int64_t batch) {
  if (phase_tokens_ == 0) phase_begin_ = std::max(phase_begin_, last_step_);
  ++steps_done_;
  phase_tokens_ += batch;
  last_step_ = now();
  if (style_ == Style::kTerminal && last_step_ - last_draw_ > kRedraw) draw();
}

void Progress::skip_steps(int64_t n) { steps_ -= n; }

std::string Progress::time_left() const {
  if (steps_done_ == 0) return "";
  const double pace = seconds(last_step_ - begin_) / static_cast<double>(steps_done_);
  return duration_text(pace * static_cast<double>(std::max<int64_t>(0, steps_ - steps_done_)));
}

void Progress::draw() {
  last_draw_ = now();
  const double elapsed = seconds(last_draw_ - phase_begin_);
  const double speed = elapsed > 0 ? static_cast<double>(phase_tokens_) / elapsed : 0.0;
  clear_line();
  fmt::print(out_, "[{}/{}] {}  {}  {:.0f} tok/s  {} left", finished_, configurations_,
             configuration_, what_, speed, time_left());
  std::fflush(out_);
}

void Progress::status(std::string_view configuration, std::string_view what) {
  if (style_ != Style::kTerminal || now() - last_draw_ < kRedraw) return;
  last_draw_ = now();
  clear_line();
  fmt::print(out_, "[{}/{}] {}  {}", finished_, configurations_, configuration, what);
  std::fflush(out_);
}

void Progress::finish(std::string_view configuration, std::string_view outcome) {
  ++finished_;
  if (style_ == Style::kQuiet) return;
  clear_line();
  const std::string left = time_left();
  fmt::print(out_, "[{}/{}] {}  {}{}\n", finished_, configurations_, configuration, outcome,
             left.empty() || finished_ == configurations_ ? "" : fmt::format("  ({} left)", left));
  std::fflush(out_);
}

}  // namespace kvtoll::studies
