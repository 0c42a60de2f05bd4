// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/kernel_table.h"

#include <algorithm>
#include <iterator>
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

// The part of a kernel's interval that no kernel before it covers, per kernel; clips the intervals
// to the window. Their sum is the length of the union.
std::vector<int64_t> attribute(std::vector<KernelRecord>& kernels, const Span& window) {
  std::vector<size_t> order;
  for (size_t i = 0; i < kernels.size(); ++i) {
    KernelRecord& k = kernels[i];
    if (!timed(k)) continue;
    k.start_ns = std::max(k.start_ns, window.start);
    k.end_ns = std::min(k.end_ns, window.end);
    order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return kernels[a].start_ns < kernels[b].start_ns; });
  std::vector<int64_t> own(kernels.size(), 0);
  int64_t reach = window.start;
  for (const size_t i : order) {
    own[i] = std::max<int64_t>(0, kernels[i].end_ns - std::max(kernels[i].start_ns, reach));
    reach = std::max(reach, kernels[i].end_ns);
  }
  return own;
}

bool touches(const KernelRecord& k, const Span& window) {
  if (!timed(k)) return true;
  if (k.start_ns == k.end_ns) return k.end_ns >= window.start && k.start_ns <= window.end;
  return k.end_ns > window.start && k.start_ns < window.end;
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

void add(Group& group, const KernelRecord& k, int64_t own_ns) {
  ++group.row.calls;
  if (k.declared_bytes >= 0)
    group.row.declared = group.row.declared.value_or(Bytes(0)) + Bytes(k.declared_bytes);
  if (k.dram_bytes >= 0) group.row.dram = group.row.dram.value_or(Bytes(0)) + Bytes(k.dram_bytes);
  if (!timed(k)) {
    ++group.row.untimed;
    return;
  }
  group.row.total += Nanoseconds(own_ns);
  group.row.resident += Nanoseconds(k.end_ns - k.start_ns);
  group.times.push_back(static_cast<double>(own_ns));
  if (k.declared_bytes >= 0) group.declared_time += own_ns;
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
  std::vector<KernelRecord> kernels;
  std::copy_if(trace.kernels.begin(), trace.kernels.end(), std::back_inserter(kernels),
               [&](const KernelRecord& k) { return touches(k, window); });
  const std::vector<int64_t> own = attribute(kernels, window);
  std::map<GroupKey, Group> groups;
  std::unordered_map<std::string_view, KernelClass> classes;
  for (size_t i = 0; i < kernels.size(); ++i) {
    const KernelRecord& k = kernels[i];
    const KernelClass kind = class_of(k, classes);
    Group& group = groups[GroupKey{k.name, kind.category, kind.part}];
    group.row.name = k.name;
    group.row.category = kind.category;
    group.row.part = kind.part;
    group.row.known = kind.known;
    add(group, k, own[i]);
    table.untimed += timed(k) ? 0 : 1;
    table.busy += Nanoseconds(own[i]);
  }
  table.launches = static_cast<int64_t>(kernels.size());
  for (auto& [key, group] : groups) {
    finish(group);
    table.overlap += group.row.resident - group.row.total;
    table.kernels.push_back(std::move(group.row));
  }
  std::stable_sort(table.kernels.begin(), table.kernels.end(),
                   [](const KernelRow& a, const KernelRow& b) { return a.total > b.total; });
  table.window = Nanoseconds(window.length());
  table.idle.time = table.window - table.busy;
  table.dropped = trace.dropped;
  table.unmatched = trace.unmatched;
  table.notes = trace.notes;
  add_shares(table);
  add_host_side(table, trace, window);
  return table;
}

}  // namespace kvtoll::profiler
