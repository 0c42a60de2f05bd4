// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Time by kernel, part and category, and what is left: idle is the window minus the union of all
// kernels' intervals. Every instant counts once: while kernels run side by side it belongs to the
// one that started first, so that categories + idle are the window; `overlap` says how much that
// was. Overlapped launches (a kernel starts, prefetches and waits for the one before) thus cost
// what they add. Example: KernelTable table = build_kernel_table(trace); print(table_text(table)).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "kvtoll/core/units.h"
#include "kvtoll/profiler/kernel_categories.h"
#include "kvtoll/profiler/trace_data.h"

namespace kvtoll::profiler {

struct KernelRow {
  std::string name;
  Category category = Category::kOther;
  std::string part;
  bool known = true;     // false: no row of the pattern table names it
  int64_t calls = 0;     // inside the window, those without a time included
  int64_t untimed = 0;   // calls whose time the tool did not collect
  Nanoseconds total;     // attributed to the timed calls, each instant once
  Nanoseconds resident;  // from start to end of the same calls, waiting beside others included
  double mean_ns = 0.0, p50_ns = 0.0, p99_ns = 0.0;
  std::optional<Bytes> declared;  // over all calls; empty where nobody declared
  std::optional<Bytes> dram;      // measured, over all calls
  double gb_s = 0.0;  // declared bytes over the attributed time of the calls that declared them
};

struct TimeShare {
  Nanoseconds time;
  double share = 0.0;  // of the window
};

struct PartTime {
  std::string part;
  Category category = Category::kOther;
  int64_t calls = 0;
  TimeShare time;
};

struct KernelTable {
  std::vector<KernelRow> kernels;  // by total time, longest first
  std::array<TimeShare, 8> categories{};
  TimeShare idle;
  std::vector<PartTime> parts;  // by total time
  Nanoseconds window;
  Nanoseconds busy;     // union of the kernels' intervals; busy + idle == window
  Nanoseconds overlap;  // sum of the intervals minus their union
  int64_t launches = 0;
  int64_t steps = 0;
  double launches_per_step = 0.0;  // 0 without steps
  Nanoseconds host_api;            // time inside traced API calls, over all host threads
  int64_t host_api_calls = 0;
  int64_t untimed = 0, dropped = 0, unmatched = 0;
  std::vector<std::string> unknown;  // kernels that no pattern names, by time
  std::vector<std::string> notes;

  const TimeShare& operator[](Category c) const { return categories[static_cast<size_t>(c)]; }
};

KernelTable build_kernel_table(const TraceData& trace);

// A table for people. peak_gb_s > 0 adds a column "% of peak".
std::string table_text(const KernelTable& table, double peak_gb_s = 0.0, size_t max_rows = 40);

}  // namespace kvtoll::profiler
