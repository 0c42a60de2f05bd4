// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/kernel_table.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>
#include <unordered_map>

#include "kvtoll/core/statistics.h"

namespace kvtoll::profiler {
namespace {

struct Span {
  int64_t start, end;
  int64_t length() const { return end - start; }
};

bool timed(const KernelRecord& k) { return k.end_ns > 0 && k.end_ns >= k.start_ns; }

Span find_window(const TraceData& trace) {
  if (trace.window_end_ns > trace.window_start_ns)
    return {trace.window_start_ns, trace.window_end_ns};
  int64_t start = INT64_MAX, end = INT64_MIN;
  for (const StepRecord& s : trace.steps) {
    start = std::min(start, s.start_ns);
    end = std::max(end, s.end_ns);
  }
  const bool from_steps = start < end;
  for (const KernelRecord& k : trace.kernels) {
    if (!timed(k)) continue;
    // With steps the window opens with the first and stays open for kernels that the last step
    // launched and that ended after its call returned.
    if (from_steps && k.step < 0) continue;
    if (!from_steps) start = std::min(start, k.start_ns);
    end = std::max(end, k.end_ns);
  }
  return start < end ? Span{start, end} : Span{0, 0};
}

// Total length of the union of intervals; sorts them.
int64_t union_length(std::vector<Span>& spans) {
  std::sort(spans.begin(), spans.end(),
            [](const Span& a, const Span& b) { return a.start < b.start; });
  int64_t total = 0, reach = INT64_MIN;
  for (const Span& s : spans) {
    if (s.end <= reach) continue;
    total += s.end - std::max(s.start, reach == INT64_MIN ? s.start : reach);
    reach = s.end;
  }
  return total;
}

struct Group {
  KernelRow row;
  std::vector<double> times;
  int64_t declared_time = 0;  // of the calls that declared bytes
};

using GroupKey = std::tuple<std::string_view, Category, std::string_view>;

KernelClass class_of(const KernelRecord& k,
                     std::unordered_map<std::string_view, KernelClass>& cache) {
  auto [it, is_new] = cache.try_emplace(k.name);
  if (is_new) it->second = classify(k.name);
  return refine(it->second, k.context);
}

void add(Group& group, const KernelRecord& k) {
  ++group.row.calls;
  if (k.declared_bytes >= 0)
    group.row.declared = group.row.declared.value_or(Bytes(0)) + Bytes(k.declared_bytes);
  if (k.dram_bytes >= 0) group.row.dram = group.row.dram.value_or(Bytes(0)) + Bytes(k.dram_bytes);
  if (!timed(k)) {
    ++group.row.untimed;
    return;
  }
  const int64_t time = k.end_ns - k.start_ns;
  group.row.total += Nanoseconds(time);
  group.times.push_back(static_cast<double>(time));
  if (k.declared_bytes >= 0) group.declared_time += time;
}

void finish(Group& group) {
  if (!group.times.empty()) {
    group.row.mean_ns =
        static_cast<double>(group.row.total.value) / static_cast<double>(group.times.size());
    group.row.p50_ns = percentile(group.times, 50);
    group.row.p99_ns = percentile(std::move(group.times), 99);
  }
  if (group.row.declared)
    group.row.gb_s = gb_per_s(*group.row.declared, Nanoseconds(group.declared_time));
}

void add_shares(KernelTable& table) {
  std::map<std::string, PartTime> parts;
  for (const KernelRow& row : table.kernels) {
    table.categories[static_cast<size_t>(row.category)].time += row.total;
    const std::string part = row.part.empty() ? std::string(category_name(row.category)) : row.part;
    PartTime& entry = parts[part];
    entry.part = part;
    entry.category = row.category;
    entry.calls += row.calls;
    entry.time.time += row.total;
    if (!row.known) table.unknown.push_back(row.name);
  }
  const auto window = static_cast<double>(table.window.value);
  const auto share = [window](TimeShare& t) {
    t.share = window > 0 ? static_cast<double>(t.time.value) / window : 0.0;
  };
  for (TimeShare& t : table.categories) share(t);
  share(table.idle);
  for (auto& [name, part] : parts) {
    share(part.time);
    table.parts.push_back(part);
  }
  std::stable_sort(table.parts.begin(), table.parts.end(),
                   [](const auto& a, const auto& b) { return a.time.time > b.time.time; });
}

void add_host_side(KernelTable& table, const TraceData& trace, const Span& window) {
  for (const ApiRecord& call : trace.api) {
    const Span clipped{std::max(call.start_ns, window.start), std::min(call.end_ns, window.end)};
    if (clipped.length() < 0) continue;
    table.host_api += Nanoseconds(clipped.length());
    ++table.host_api_calls;
  }
  table.steps = static_cast<int64_t>(trace.steps.size());
  if (table.steps > 0)
    table.launches_per_step =
        static_cast<double>(table.launches) / static_cast<double>(table.steps);
}

}  // namespace

KernelTable build_kernel_table(const TraceData& trace) {
  KernelTable table;
  const Span window = find_window(trace);
  std::map<GroupKey, Group> groups;
  std::unordered_map<std::string_view, KernelClass> classes;
  std::vector<Span> spans;
  spans.reserve(trace.kernels.size());
  int64_t sum = 0;
  for (KernelRecord k : trace.kernels) {
    if (timed(k)) {  // what reaches out of the window counts for its part inside
      if (k.end_ns <= window.start || k.start_ns >= window.end) {
        if (k.end_ns != k.start_ns || k.end_ns < window.start || k.start_ns > window.end) continue;
      }
      k.start_ns = std::max(k.start_ns, window.start);
      k.end_ns = std::min(k.end_ns, window.end);
      spans.push_back({k.start_ns, k.end_ns});
      sum += k.end_ns - k.start_ns;
    } else {
      ++table.untimed;
    }
    const KernelClass kind = class_of(k, classes);
    Group& group = groups[GroupKey{k.name, kind.category, kind.part}];
    group.row.name = k.name;
    group.row.category = kind.category;
    group.row.part = kind.part;
    group.row.known = kind.known;
    add(group, k);
    ++table.launches;
  }
  for (auto& [key, group] : groups) {
    finish(group);
    table.kernels.push_back(std::move(group.row));
  }
  std::stable_sort(table.kernels.begin(), table.kernels.end(),
                   [](const KernelRow& a, const KernelRow& b) { return a.total > b.total; });
  table.window = Nanoseconds(window.length());
  table.busy = Nanoseconds(union_length(spans));
  table.overlap = Nanoseconds(sum) - table.busy;
  table.idle.time = table.window - table.busy;
  table.dropped = trace.dropped;
  table.unmatched = trace.unmatched;
  table.notes = trace.notes;
  add_shares(table);
  add_host_side(table, trace, window);
  return table;
}

}  // namespace kvtoll::profiler
