// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/trace_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "kvtoll/profiler/kernel_categories.h"

namespace kvtoll::profiler {
namespace {

using Json = nlohmann::json;

// Tracks of the viewer: one process for the device, one for the host, one for the meters.
constexpr int kDevice = 1, kHost = 2, kMeters = 3;
constexpr int kStepTrack = 0;

std::string_view step_name(trace::StepKind kind) {
  switch (kind) {
    case trace::StepKind::kPrefill:
      return "prefill";
    case trace::StepKind::kAppend:
      return "decode";
    case trace::StepKind::kFlush:
      return "decode, flush";
  }
  return "step";
}

// Collects events; times are written in microseconds from the first one, as the format asks.
class Writer {
 public:
  explicit Writer(int64_t origin_ns) : origin_ns_(origin_ns) {
    name_process(kDevice, "kernels");
    name_process(kHost, "host");
    name_process(kMeters, "meters");
  }

  // order: where the track stands among its process's.
  void name_track(int process, int64_t track, std::string_view name, int64_t order) {
    const auto meta = [&](const char* what, Json args) {
      add({{"ph", "M"}, {"pid", process}, {"tid", track}, {"name", what}, {"args", args}});
    };
    meta("thread_name", {{"name", name}});
    meta("thread_sort_index", {{"sort_index", order}});
  }

  void span(int process, int64_t track, std::string_view name, std::string_view category,
            int64_t start_ns, int64_t end_ns, Json args) {
    add({{"ph", "X"},
         {"pid", process},
         {"tid", track},
         {"name", name},
         {"cat", category},
         {"ts", us(start_ns)},
         {"dur", static_cast<double>(end_ns - start_ns) * 1e-3},
         {"args", std::move(args)}});
  }
  void counter(std::string_view name, int64_t time_ns, Json values) {
    add({{"ph", "C"},
         {"pid", kMeters},
         {"tid", 0},
         {"name", name},
         {"ts", us(time_ns)},
         {"args", std::move(values)}});
  }
  std::string finish() { return text_ + "\n]}\n"; }

 private:
  double us(int64_t time_ns) const { return static_cast<double>(time_ns - origin_ns_) * 1e-3; }
  void name_process(int process, std::string_view name) {
    add({{"ph", "M"}, {"pid", process}, {"name", "process_name"}, {"args", {{"name", name}}}});
  }
  // Event by event: a trace of a million kernels never stands in memory as a tree.
  void add(const Json& event) {
    text_ += first_ ? "\n" : ",\n";
    first_ = false;
    text_ += event.dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  int64_t origin_ns_;
  std::string text_ = R"({"displayTimeUnit": "ns", "traceEvents": [)";
  bool first_ = true;
};

int64_t first_time(const TraceData& trace, std::span<const PowerSample> power,
                   std::span<const MemorySample> memory) {
  int64_t first = INT64_MAX;
  for (const KernelRecord& k : trace.kernels)
    if (k.end_ns > 0) first = std::min(first, k.start_ns);
  for (const StepRecord& s : trace.steps) first = std::min(first, s.start_ns);
  for (const ApiRecord& a : trace.api) first = std::min(first, a.start_ns);
  for (const PowerSample& p : power) first = std::min(first, p.time_ns);
  for (const MemorySample& m : memory) first = std::min(first, m.time_ns);
  return first == INT64_MAX ? 0 : first;
}

// Kernels of one stream can overlap (programmatic dependent launch), and a viewer draws what
// overlaps on a track only where one lies within the other: so each stream has as many tracks as
// kernels that run side by side.
class StreamTracks {
 public:
  explicit StreamTracks(Writer& out) : out_(out) {}

  // Called in order of the start times.
  int64_t track(const KernelRecord& k) {
    std::vector<int64_t>& ends = ends_[k.stream];
    const auto free = std::ranges::find_if(ends, [&](int64_t end) { return end <= k.start_ns; });
    const int64_t lane = free - ends.begin(), id = k.stream + lane * kLaneStride;
    if (free != ends.end()) {
      *free = k.end_ns;
      return id;
    }
    ends.push_back(k.end_ns);
    out_.name_track(kDevice, id,
                    lane == 0 ? fmt::format("stream {}", k.stream)
                              : fmt::format("stream {}, side by side {}", k.stream, lane),
                    k.stream * kMostLanes + std::min(lane, kMostLanes - 1));
    return id;
  }

 private:
  static constexpr int64_t kLaneStride = 1'000'000, kMostLanes = 64;
  Writer& out_;
  std::map<uint32_t, std::vector<int64_t>> ends_;  // by stream: when each track's last kernel ends
};

std::vector<const KernelRecord*> by_start(const TraceData& trace) {
  std::vector<const KernelRecord*> list;
  for (const KernelRecord& k : trace.kernels)
    if (k.end_ns > 0) list.push_back(&k);
  std::ranges::stable_sort(list, {}, &KernelRecord::start_ns);
  return list;
}

void add_kernels(Writer& out, const TraceData& trace) {
  StreamTracks tracks(out);
  for (const KernelRecord* kernel : by_start(trace)) {
    const KernelRecord& k = *kernel;
    const KernelClass kind = refine(classify(k.name), k.context);
    Json args = {{"layer", k.layer}, {"step", k.step}};
    if (!kind.part.empty()) args["part"] = kind.part;
    if (k.declared_bytes >= 0) {
      args["declared_bytes"] = k.declared_bytes;
      args["gb_s"] = gb_per_s(Bytes(k.declared_bytes), Nanoseconds(k.end_ns - k.start_ns));
    }
    out.span(kDevice, tracks.track(k), k.name, category_name(kind.category), k.start_ns, k.end_ns,
             std::move(args));
  }
}

void add_host(Writer& out, const TraceData& trace) {
  if (!trace.steps.empty()) out.name_track(kHost, kStepTrack, "steps", 0);
  for (size_t i = 0; i < trace.steps.size(); ++i) {
    const StepRecord& s = trace.steps[i];
    out.span(kHost, kStepTrack, step_name(s.step.kind), "step", s.start_ns, s.end_ns,
             {{"step", i}, {"context", s.step.context}, {"tokens", s.step.tokens}});
  }
  for (const ApiRecord& a : trace.api)
    out.span(kHost, a.thread, a.name, "api", a.start_ns, a.end_ns, Json::object());
}

void add_meters(Writer& out, std::span<const PowerSample> power,
                std::span<const MemorySample> memory) {
  for (const PowerSample& p : power) {
    if (std::isfinite(p.watts)) out.counter("power W", p.time_ns, {{"W", p.watts}});
    if (p.sm_mhz > 0) out.counter("SM clock MHz", p.time_ns, {{"MHz", p.sm_mhz}});
    if (p.celsius > 0) out.counter("temperature C", p.time_ns, {{"C", p.celsius}});
    if (p.memory_used >= 0)
      out.counter("device memory MB", p.time_ns,
                  {{"MB", static_cast<double>(p.memory_used) * 1e-6}});
  }
  for (const MemorySample& m : memory) {
    Json tags = Json::object();
    for (size_t t = 0; t < kMemoryTagNames.size(); ++t)
      tags[std::string(kMemoryTagNames[t])] = static_cast<double>(m.split.by_tag[t].value) * 1e-6;
    out.counter("allocated MB", m.time_ns, std::move(tags));
    if (m.machine.value > 0)
      out.counter("in use MB", m.time_ns, {{"MB", static_cast<double>(m.machine.value) * 1e-6}});
  }
}

}  // namespace

std::string chrome_trace(const TraceData& trace, std::span<const PowerSample> power,
                         std::span<const MemorySample> memory) {
  Writer out(first_time(trace, power, memory));
  add_kernels(out, trace);
  add_host(out, trace);
  add_meters(out, power, memory);
  return out.finish();
}

}  // namespace kvtoll::profiler
