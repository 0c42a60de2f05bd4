// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/launch_join.h"

#include <algorithm>
#include <unordered_set>

namespace kvtoll::profiler {
namespace {

// How far the join looks for the next kernel and op that agree after a mismatch. A layer has about
// a dozen launches, so this crosses a layer that went missing.
constexpr size_t kLookAhead = 48;

struct Joiner {
  const std::vector<DeclaredOp>& ops;
  const std::vector<GpuActivity>& kernels;
  std::vector<std::string_view> base;  // base name of each kernel
  TraceData& trace;
  std::unordered_set<std::string_view> declared_names;
  int32_t step = -1;

  bool agree(size_t op, size_t kernel) const { return ops[op].kernel == base[kernel]; }

  KernelRecord plain(size_t j) const {
    const GpuActivity& k = kernels[j];
    KernelRecord record;
    record.name = k.name;
    record.start_ns = k.start_ns;
    record.end_ns = k.end_ns;
    record.stream = k.stream;
    record.step = step;
    return record;
  }

  void join(size_t i, size_t j) {
    step = ops[i].step;
    KernelRecord record = plain(j);
    record.name = ops[i].kernel;
    record.declared_bytes = ops[i].bytes;
    record.layer = ops[i].layer;
    trace.kernels.push_back(record);
  }

  // Ops [i, i_end) and kernels [j, j_end) lie between two joined pairs (or the ends). Kernels with
  // names of their own are libraries' work for the ops: the first for each op carries its bytes,
  // every one carries the op's name as context.
  void join_between(size_t i, size_t i_end, size_t j, size_t j_end) {
    bool op_used = false;
    for (; j < j_end; ++j) {
      const GpuActivity& k = kernels[j];
      const bool library =
          k.kind == GpuActivity::Kind::kKernel && !declared_names.contains(base[j]);
      if (!library || i >= i_end) {
        KernelRecord record = plain(j);
        if (k.kind != GpuActivity::Kind::kKernel) {
          record.declared_bytes = k.bytes;
        } else {
          ++trace.unmatched;
        }
        trace.kernels.push_back(record);
        continue;
      }
      // The last op takes what is left: a product and its split-k reduction are one op.
      if (op_used && i + 1 < i_end) ++i, op_used = false;
      step = ops[i].step;
      KernelRecord record = plain(j);
      record.context = ops[i].kernel;
      record.layer = ops[i].layer;
      if (!op_used) record.declared_bytes = ops[i].bytes;
      op_used = true;
      trace.kernels.push_back(record);
    }
    if (i < i_end) trace.unmatched += static_cast<int64_t>(i_end - i) - (op_used ? 1 : 0);
  }

  // The nearest pair ahead that agrees: {ops.size(), kernels.size()} if there is none.
  std::pair<size_t, size_t> resync(size_t i, size_t j) const {
    for (size_t distance = 1; distance < 2 * kLookAhead; ++distance)
      for (size_t a = distance < kLookAhead ? 0 : distance - kLookAhead + 1;
           a <= std::min(distance, kLookAhead - 1); ++a) {
        const size_t b = distance - a;
        if (i + a < ops.size() && j + b < kernels.size() && agree(i + a, j + b))
          return {i + a, j + b};
      }
    return {std::min(i + kLookAhead, ops.size()), std::min(j + kLookAhead, kernels.size())};
  }

  void run() {
    size_t i = 0, j = 0;
    while (i < ops.size() && j < kernels.size()) {
      if (agree(i, j)) {
        join(i++, j++);
        continue;
      }
      const auto [next_i, next_j] = resync(i, j);
      join_between(i, next_i, j, next_j);
      i = next_i;
      j = next_j;
    }
    join_between(i, ops.size(), j, kernels.size());
  }
};

// Launch order: correlation ids rise with each API call; the nodes of one graph share one and run
// in time order. Records without a time keep their place by correlation alone.
void sort_by_launch(std::vector<GpuActivity>& list) {
  std::stable_sort(list.begin(), list.end(), [](const GpuActivity& a, const GpuActivity& b) {
    return a.correlation != b.correlation ? a.correlation < b.correlation : a.start_ns < b.start_ns;
  });
}

}  // namespace

std::string_view kernel_base_name(std::string_view demangled) {
  constexpr std::string_view kAnonymous = "(anonymous namespace)";
  int angle = 0;
  size_t begin = 0, end = demangled.size(), template_at = std::string_view::npos;
  for (size_t i = 0; i < demangled.size(); ++i) {
    const char c = demangled[i];
    if (c == '(' && demangled.substr(i).starts_with(kAnonymous)) {
      i += kAnonymous.size() - 1;
    } else if (c == '<') {
      if (angle++ == 0) template_at = i;
    } else if (c == '>') {
      --angle;
    } else if (angle == 0 && (c == ' ' || c == ':')) {
      begin = i + 1;
      template_at = std::string_view::npos;
    } else if (angle == 0 && (c == '(' || c == '[')) {
      end = i;
      break;
    }
  }
  if (template_at != std::string_view::npos && template_at < end) end = template_at;
  return begin < end ? demangled.substr(begin, end - begin) : demangled;
}

TraceData join_launches(const std::vector<DeclaredOp>& ops, std::vector<StepRecord> steps,
                        ActivityLog log) {
  TraceData trace;
  trace.names = log.names;
  trace.steps = std::move(steps);
  trace.api = std::move(log.api);
  trace.dropped = log.dropped;
  sort_by_launch(log.activities);
  Joiner joiner{ops, log.activities, {}, trace, {}, -1};
  joiner.base.reserve(log.activities.size());
  for (const GpuActivity& k : log.activities) joiner.base.push_back(kernel_base_name(k.name));
  for (const DeclaredOp& op : ops) joiner.declared_names.insert(op.kernel);
  trace.kernels.reserve(log.activities.size());
  joiner.run();
  if (trace.unmatched > 0)
    trace.notes.push_back(std::to_string(trace.unmatched) +
                          " kernels or declared operations found no partner; their bytes are "
                          "missing from GB/s");
  return trace;
}

}  // namespace kvtoll::profiler
