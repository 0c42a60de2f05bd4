// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "kvtoll/profiler/kernel_table.h"

namespace kvtoll::profiler {
namespace {

double ms(Nanoseconds t) { return static_cast<double>(t.value) * 1e-6; }

// C++ names without what all of them carry, cut to the column.
std::string shorten(std::string name, size_t width) {
  for (const std::string_view noise :
       {"(anonymous namespace)::", "at::native::", "binary_internal::", "c10::", "std::", "void "})
    for (size_t at = name.find(noise); at != std::string::npos; at = name.find(noise, at))
      name.erase(at, noise.size());
  return name.size() <= width ? name : name.substr(0, width - 3) + "...";
}

std::string categories_text(const KernelTable& table) {
  std::string out = fmt::format("{:<18}{:>12}{:>9}\n", "category", "time ms", "share");
  for (size_t c = 0; c < kCategoryNames.size(); ++c)
    out += fmt::format("{:<18}{:>12.3f}{:>8.1f}%\n", kCategoryNames[c],
                       ms(table.categories[c].time), 100 * table.categories[c].share);
  out += fmt::format("{:<18}{:>12.3f}{:>8.1f}%\n", "idle", ms(table.idle.time),
                     100 * table.idle.share);
  out += fmt::format("{:<18}{:>12.3f}", "window", ms(table.window));
  if (table.overlap.value > 0)
    out +=
        fmt::format("   ({:.3f} ms ran beside an earlier kernel, counted once)", ms(table.overlap));
  return out + "\n";
}

std::string kernels_text(const KernelTable& table, double peak_gb_s, size_t max_rows) {
  const bool bytes = std::any_of(table.kernels.begin(), table.kernels.end(),
                                 [](const KernelRow& r) { return r.declared.has_value(); });
  std::string out = fmt::format("\n{:<64}{:<16}{:>9}{:>12}{:>10}{:>10}{:>10}", "kernel", "category",
                                "calls", "total ms", "mean us", "p50 us", "p99 us");
  if (bytes) out += fmt::format("{:>9}", "GB/s");
  if (bytes && peak_gb_s > 0) out += fmt::format("{:>8}", "peak");
  out += "\n";
  for (size_t i = 0; i < std::min(max_rows, table.kernels.size()); ++i) {
    const KernelRow& r = table.kernels[i];
    out += fmt::format("{:<64}{:<16}{:>9}{:>12.3f}{:>10.2f}{:>10.2f}{:>10.2f}", shorten(r.name, 62),
                       category_name(r.category), r.calls, ms(r.total), r.mean_ns * 1e-3,
                       r.p50_ns * 1e-3, r.p99_ns * 1e-3);
    if (bytes) out += r.declared ? fmt::format("{:>9.1f}", r.gb_s) : fmt::format("{:>9}", "-");
    if (bytes && peak_gb_s > 0)
      out += r.declared ? fmt::format("{:>7.1f}%", 100 * r.gb_s / peak_gb_s)
                        : fmt::format("{:>8}", "-");
    out += "\n";
  }
  if (table.kernels.size() > max_rows)
    out += fmt::format("... and {} more\n", table.kernels.size() - max_rows);
  return out;
}

std::string footer_text(const KernelTable& table) {
  std::string out;
  if (table.steps > 0)
    out += fmt::format("\n{} steps, {:.1f} launches a step", table.steps, table.launches_per_step);
  else
    out += fmt::format("\n{} launches", table.launches);
  if (table.host_api_calls > 0)
    out +=
        fmt::format(", {:.3f} ms in {} host API calls", ms(table.host_api), table.host_api_calls);
  out += "\n";
  if (table.untimed > 0) out += fmt::format("{} kernels without a time\n", table.untimed);
  if (table.dropped > 0) out += fmt::format("{} records dropped by the tracer\n", table.dropped);
  if (table.unmatched > 0)
    out += fmt::format("{} kernels or declared operations without a partner\n", table.unmatched);
  if (!table.unknown.empty()) {
    out += fmt::format("{} kernel names that no pattern knows (category other):\n",
                       table.unknown.size());
    for (const std::string& name : table.unknown) out += fmt::format("  {}\n", name);
  }
  for (const std::string& note : table.notes) out += fmt::format("note: {}\n", note);
  return out;
}

}  // namespace

std::string table_text(const KernelTable& table, double peak_gb_s, size_t max_rows) {
  return categories_text(table) + kernels_text(table, peak_gb_s, max_rows) + footer_text(table);
}

}  // namespace kvtoll::profiler
