// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kvtoll/core/statistics.h"

namespace kvtoll::report {
namespace {

// Okabe and Ito's palette, which colour-blind readers can tell apart.
constexpr std::array<const char*, 6> kPalette = {"#0072B2", "#D55E00", "#009E73",
                                                 "#CC79A7", "#E69F00", "#56B4E9"};
constexpr std::array<const char*, 9> kCategoryColours = {"#0072B2", "#56B4E9", "#D55E00",
                                                         "#009E73", "#F0E442", "#CC79A7",
                                                         "#8C6BB1", "#999999", "#E5E5E5"};

std::string join(const std::vector<std::string>& parts) {
  return fmt::format("{}", fmt::join(parts, ", \\\n     "));
}

PlotScript framed(const std::string& name, int width, int height, const std::string& title) {
  PlotScript plot(name, width, height);
  plot.line(fmt::format("set title \"{}\" left font ',14'", plot_text(title)));
  return plot;
}

// Positions on an axis of equal steps: one per entry, formats side by side around it.
double dodge(size_t index, size_t count) {
  return (static_cast<double>(index) - (static_cast<double>(count) - 1) / 2) * 0.12;
}

void number_tics(PlotScript& plot, const std::vector<int64_t>& values) {
  std::vector<std::string> tics;
  for (size_t i = 0; i < values.size(); ++i) tics.push_back(fmt::format("\"{}\" {}", values[i], i));
  plot.line(fmt::format("set xtics ({})\nset xrange [-0.5:{}]", fmt::join(tics, ", "),
                        static_cast<double>(values.size()) - 0.5));
}

// Points with intervals, one line per format; `find` gives the record at a value of the x axis.
template <class F>
PlotScript speed_plot(const std::string& name, const std::string& title, const std::string& xlabel,
                      const std::vector<std::string>& formats, const std::vector<int64_t>& xs,
                      F&& find) {
  PlotScript plot = framed(name, 720, 400, title);
  std::vector<std::string> parts;
  for (size_t f = 0; f < formats.size(); ++f) {
    std::vector<std::string> rows;
    for (size_t i = 0; i < xs.size(); ++i)
      if (const RunRecord* r = find(formats[f], xs[i])) {
        const Distribution& d = r->throughput.decode_tok_s;
        // Speed is positive: an interval of few and scattered runs may not be.
        rows.push_back(fmt::format("{:.3f} {} {} {}",
                                   static_cast<double>(i) + dodge(f, formats.size()), d.mean,
                                   std::max(0.0, d.ci95[0]), d.ci95[1]));
      }
    if (rows.empty()) continue;
    plot.data(fmt::format("$f{}", f), rows);
    parts.push_back(
        fmt::format("$f{0} with yerrorlines lw 2 pt 7 ps 0.7 lc rgb '{1}' title \"{2}\"", f,
                    format_colour(formats[f], f), plot_text(formats[f])));
  }
  number_tics(plot, xs);
  plot.line(fmt::format("set xlabel \"{}\"\nset ylabel 'tokens per second'", xlabel));
  plot.line("set yrange [0:*]\nset key outside right top\nplot " + join(parts));
  return plot;
}

Figure throughput(const Series& s) {
  return {
      fmt::format("Decode throughput of {} by output length: mean and 95 % interval of the "
                  "measured runs (residual {}).",
                  s.title, s.residual),
      speed_plot("throughput-" + s.slug, "Decode throughput: " + s.title, "new tokens", s.formats,
                 s.lengths, [&](const std::string& kv, int64_t n) { return s.at(kv, n); })};
}

Figure residual_sweep(const Series& s) {
  std::vector<std::string> formats;
  for (const RunRecord* r : s.sweep)
    if (std::ranges::find(formats, r->config.kv) == formats.end() && !is_baseline(r->config.kv))
      formats.push_back(r->config.kv);
  std::ranges::sort(formats, format_before);
  return {fmt::format("Decode throughput of {} at {} new tokens by residual length.", s.title,
                      s.lengths.back()),
          speed_plot("residual-" + s.slug, "Residual sweep: " + s.title, "residual length (tokens)",
                     formats, s.residuals(),
                     [&](const std::string& kv, int64_t r) { return s.swept(kv, r); })};
}

double per_step_us(const RunRecord& r, std::string_view category) {
  int64_t ns = 0, steps = 0;
  for (const TraceWindow& w : r.trace) {
    steps += w.steps;
    const auto found = w.category_ns.find(std::string(category));
    if (found != w.category_ns.end()) ns += found->second;
  }
  return steps > 0 ? static_cast<double>(ns) * 1e-3 / static_cast<double>(steps) : 0.0;
}

// A stacked bar per record; `values` gives the heights of the parts.
template <class F>
PlotScript stacked_plot(const std::string& name, const std::string& title,
                        const std::string& ylabel, const Series& s,
                        const std::vector<std::string>& part_names,
                        const std::vector<std::string>& colours, F&& values) {
  const auto bars = static_cast<int>(s.lengths.size() * s.formats.size());
  PlotScript plot = framed(name, std::clamp(260 + 46 * bars, 480, 900), 430, title);
  std::vector<std::string> rows, tics, labels;
  double x = 0.0;
  for (const int64_t length : s.lengths) {
    const double begin = x;
    for (const std::string& kv : s.formats)
      if (const RunRecord* r = s.at(kv, length)) {
        const std::vector<double> heights = values(*r);
        double below = 0.0;
        std::string row = fmt::format("{}", x);
        for (const double h : heights) row += fmt::format(" {} {}", below, below + h), below += h;
        rows.push_back(row);
        tics.push_back(fmt::format("\"{}\" {}", plot_text(kv), x));
        x += 1.0;
      }
    labels.push_back(
        fmt::format("set label \"{} tokens\" at {},graph 1.0 center offset 0,0.6 tc rgb '#555555'",
                    length, (begin + x - 1.0) / 2));
    x += 0.6;
  }
  plot.data("$bars", rows);
  for (const std::string& label : labels) plot.line(label);
  plot.line("set tmargin 4\nset title offset 0,0.8");
  plot.line(fmt::format("set xtics ({}) rotate by 35 right font ',11'", fmt::join(tics, ", ")));
  plot.line(fmt::format("set xrange [-0.7:{}]\nset yrange [0:*]", x - 0.9));
  plot.line(
      fmt::format("set ylabel \"{}\"\nset key outside right top reverse Left invert", ylabel));
  std::vector<std::string> parts;
  for (size_t i = 0; i < part_names.size(); ++i)
    parts.push_back(fmt::format(
        "$bars using 1:{0}:($1-0.4):($1+0.4):{0}:{1} with boxxyerror fs solid 1.0 border lc rgb "
        "'white' fc rgb '{2}' title \"{3}\"",
        2 + 2 * i, 3 + 2 * i, colours[i], plot_text(part_names[i])));
  plot.line("plot " + join(parts));
  return plot;
}

Figure categories(const Series& s) {
  return {fmt::format("Where a decode step of {} spends its time: traced windows at the start, the "
                      "middle and the end; idle is when no kernel ran.",
                      s.title),
          stacked_plot("categories-" + s.slug, "Time per decode step: " + s.title, "µs per step", s,
                       {kCategories.begin(), kCategories.end()},
                       {kCategoryColours.begin(), kCategoryColours.end()}, [](const RunRecord& r) {
                         std::vector<double> us;
                         for (const auto name : kCategories) us.push_back(per_step_us(r, name));
                         return us;
                       })};
}

Figure memory(const Series& s) {
  return {fmt::format("KV cache of {} at the end of the generation; weights take {:.1f} MB.",
                      s.title, static_cast<double>(s.records.front()->memory.weights_bytes) * 1e-6),
          stacked_plot("memory-" + s.slug, "KV cache memory: " + s.title, "MB", s,
                       {"payload", "scales", "residual (exact)"}, {"#0072B2", "#E69F00", "#999999"},
                       [](const RunRecord& r) {
                         return std::vector<double>{
                             static_cast<double>(r.memory.kv_payload_bytes) * 1e-6,
                             static_cast<double>(r.memory.kv_scales_bytes) * 1e-6,
                             static_cast<double>(r.memory.kv_residual_bytes) * 1e-6};
                       })};
}

Figure energy(const Series& s) {
  return {
      fmt::format("Energy per generated token of {}; net is above idle power.", s.title),
      stacked_plot("energy-" + s.slug, "Energy per token: " + s.title, "J per token", s,
                   {"net (above idle)", "idle"}, {"#D55E00", "#CCCCCC"}, [](const RunRecord& r) {
                     const double gross = r.energy.gross_j_per_token.value_or(0.0);
                     const double net = r.energy.net_j_per_token.value_or(0.0);
                     return std::vector<double>{net, gross - net};
                   })};
}

// Median over the runs of each step.
std::vector<double> median_steps(const RunRecord& r) {
  std::vector<double> out;
  const size_t steps = r.runs.empty() ? 0 : r.runs.front().step_ns.size();
  for (size_t i = 0; i < steps; ++i) {
    std::vector<double> at;
    for (const RunSample& run : r.runs)
      if (i < run.step_ns.size()) at.push_back(static_cast<double>(run.step_ns[i]));
    out.push_back(percentile(std::move(at), 50) * 1e-6);
  }
  return out;
}

// One point per step, or the median of a few neighbours where there are many; flushes apart.
void latency_rows(const RunRecord& r, std::vector<std::string>& appends,
                  std::vector<std::string>& flushes) {
  const std::vector<double> ms = median_steps(r);
  const auto& marks = r.runs.front().flush_steps;
  const size_t bin = std::max<size_t>(1, ms.size() / 200);
  std::vector<double> held;
  for (size_t i = 0; i < ms.size(); ++i) {
    const auto context = static_cast<double>(r.config.prompt_tokens) + static_cast<double>(i);
    if (std::ranges::find(marks, static_cast<int64_t>(i)) != marks.end())
      flushes.push_back(fmt::format("{} {:.6f}", context, ms[i]));
    else
      held.push_back(ms[i]);
    if (held.size() == bin) {
      appends.push_back(fmt::format("{} {:.6f}", context, percentile(held, 50)));
      held.clear();
    }
  }
}

Figure latency(const Series& s) {
  PlotScript plot = framed("latency-" + s.slug, 720, 400, "Step time against context: " + s.title);
  std::vector<std::string> parts;
  bool any_flush = false;
  for (size_t f = 0; f < s.formats.size(); ++f) {
    const RunRecord* r = s.at(s.formats[f], s.lengths.back());
    if (!r || r->runs.empty()) continue;
    std::vector<std::string> appends, flushes;
    latency_rows(*r, appends, flushes);
    const std::string colour = format_colour(s.formats[f], f);
    if (!appends.empty()) {
      plot.data(fmt::format("$a{}", f), appends);
      parts.push_back(fmt::format("$a{} with lines lw 1.5 lc rgb '{}' title \"{}\"", f, colour,
                                  plot_text(s.formats[f])));
    }
    if (!flushes.empty()) {
      any_flush = true;
      plot.data(fmt::format("$b{}", f), flushes);
      parts.push_back(fmt::format("$b{} with points pt 9 ps 0.8 lc rgb '{}'", f, colour));
    }
  }
  plot.line("set logscale y\nset xlabel 'cached tokens'\nset ylabel 'ms per step (log)'");
  plot.line("set key outside right top\nplot " + join(parts));
  return {fmt::format("Time of each decode step of {} at {} new tokens, median of the runs{}.",
                      s.title, s.lengths.back(),
                      any_flush ? "; triangles are flush steps, which quantize the residual" : ""),
          std::move(plot)};
}

}  // namespace

std::string format_colour(const std::string& kv, size_t index) {
  if (is_baseline(kv)) return "#444444";
  if (kv == "int8-hqq") return kPalette[0];
  if (kv == "int4-quanto") return kPalette[1];
  return kPalette[(index + 1) % kPalette.size()];
}

std::vector<Figure> make_figures(const Series& s) {
  std::vector<Figure> figures = {throughput(s)};
  const bool traced = std::ranges::any_of(s.records, [](auto* r) { return !r->trace.empty(); });
  const bool metered = std::ranges::any_of(s.records, [](auto* r) { return r->energy.available; });
  if (traced) figures.push_back(categories(s));
  figures.push_back(latency(s));
  figures.push_back(memory(s));
  if (!s.sweep.empty()) figures.push_back(residual_sweep(s));
  if (metered) figures.push_back(energy(s));
  return figures;
}

}  // namespace kvtoll::report
