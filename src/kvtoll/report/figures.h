// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The figures of a report, as gnuplot scripts.
#pragma once

#include <string>
#include <vector>

#include "kvtoll/report/gnuplot.h"
#include "kvtoll/report/series.h"

namespace kvtoll::report {

struct Figure {
  std::string caption;
  PlotScript script;
};

// What the series has data for: throughput by length and format with intervals; time by category;
// step latency against context with flushes; KV memory; residual sweep; energy.
std::vector<Figure> make_figures(const Series& series);

std::string format_colour(const std::string& kv, size_t index);  // "#rrggbb"

}  // namespace kvtoll::report
