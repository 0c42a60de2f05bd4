// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/trace_export.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

namespace kvtoll::profiler {
namespace {

using Json = nlohmann::json;

std::vector<Json> events_named(const Json& trace, const std::string& name) {
  std::vector<Json> found;
  for (const Json& e : trace["traceEvents"])
    if (e.value("name", "") == name && e["ph"] != "M") found.push_back(e);
  return found;
}

// The rules of the trace event format that viewers rely on; what breaks one is named.
std::vector<std::string> faults_of(const Json& trace) {
  std::vector<std::string> faults;
  std::map<std::pair<int64_t, int64_t>, std::vector<std::pair<double, double>>> tracks;
  for (const Json& e : trace["traceEvents"]) {
    const auto need = [&](bool ok, const char* what) {
      if (!ok) faults.push_back(std::string(what) + ": " + e.dump());
    };
    const std::string ph = e.value("ph", "");
    need(ph == "X" || ph == "C" || ph == "M", "phase");
    need(e.contains("name") && e["name"].is_string(), "name");
    need(e.contains("pid") && e["pid"].is_number_integer(), "pid");
    need(e.contains("args") && e["args"].is_object(), "args");
    if (ph == "M") continue;
    need(e["ts"].is_number() && e["ts"] >= 0, "ts");
    need(e["tid"].is_number_integer(), "tid");
    if (ph == "C")
      for (const Json& value : e["args"]) need(value.is_number(), "counter value");
    if (ph != "X") continue;
    need(e["dur"].is_number() && e["dur"] >= 0, "dur");
    tracks[{e["pid"], e["tid"]}].emplace_back(e["ts"],
                                              e["ts"].get<double>() + e["dur"].get<double>());
  }
  for (auto& [track, spans] : tracks) {
    std::ranges::sort(spans, [](auto& a, auto& b) {
      return a.first != b.first ? a.first < b.first : a.second > b.second;
    });
    std::vector<double> open;  // ends of the spans around the next one
    for (const auto& [start, end] : spans) {
      while (!open.empty() && open.back() <= start + 1e-6) open.pop_back();
      if (!open.empty() && end > open.back() + 1e-6)
        faults.push_back("overlap on track " + std::to_string(track.second));
      open.push_back(end);
    }
  }
  return faults;
}

TEST(TraceExport, KernelsThatOverlapStandOnTracksOfTheirOwn) {
  TraceData t;  // in launch order: each starts while the one before runs
  for (int64_t i = 0; i < 6; ++i)
    t.kernels.push_back(
        {.name = "k", .start_ns = 1000 + 100 * i, .end_ns = 1250 + 100 * i, .stream = 7});
  t.kernels.push_back({.name = "k", .start_ns = 900, .end_ns = 950, .stream = 7});
  t.kernels.push_back({.name = "other", .start_ns = 1000, .end_ns = 2000, .stream = 9});
  const Json json = Json::parse(chrome_trace(t));
  EXPECT_EQ(faults_of(json), std::vector<std::string>{});
  std::map<int64_t, int> kernels;
  for (const Json& e : events_named(json, "k")) ++kernels[e["tid"]];
  EXPECT_EQ(kernels.size(), 3u);
  EXPECT_EQ(kernels[7], 3);
  std::vector<std::string> names;
  for (const Json& e : json["traceEvents"])
    if (e["name"] == "thread_name") names.push_back(e["args"]["name"]);
  EXPECT_EQ(names, (std::vector<std::string>{"stream 7", "stream 9", "stream 7, side by side 1",
                                             "stream 7, side by side 2"}));
}

TEST(TraceExport, PutsEverythingOnOneAxis) {
  TraceData t;
  t.kernels = {{.name = "cpu_gemv_down",
                .start_ns = 1'000'500,
                .end_ns = 1'002'500,
                .declared_bytes = 4000,
                .step = 0,
                .layer = 2,
                .stream = 7},
               {.name = "cpu_rope"}};  // no time: not drawn
  t.steps = {{{trace::StepKind::kFlush, 128, 1}, 1'000'000, 1'003'000}};
  t.api = {{"cudaGraphLaunch", 1'000'100, 1'000'200, 5}};
  const std::vector<PowerSample> power = {
      {.time_ns = 1'001'000, .watts = 412.5, .sm_mhz = 1980, .memory_used = 2'000'000}};
  std::vector<MemorySample> memory(1);
  memory[0].time_ns = 1'002'000;
  memory[0].split[MemoryTag::kKvPayload] = Bytes(3'000'000);
  const Json json = Json::parse(chrome_trace(t, power, memory));

  EXPECT_EQ(faults_of(json), std::vector<std::string>{});
  const auto kernel = events_named(json, "cpu_gemv_down");
  ASSERT_EQ(kernel.size(), 1u);
  EXPECT_EQ(kernel[0]["ph"], "X");
  EXPECT_EQ(kernel[0]["cat"], "ffn");
  EXPECT_DOUBLE_EQ(kernel[0]["ts"], 0.5);
  EXPECT_DOUBLE_EQ(kernel[0]["dur"], 2.0);
  EXPECT_EQ(kernel[0]["tid"], 7);
  EXPECT_EQ(kernel[0]["args"]["layer"], 2);
  EXPECT_DOUBLE_EQ(kernel[0]["args"]["gb_s"], 2.0);
  EXPECT_TRUE(events_named(json, "cpu_rope").empty());
  const auto step = events_named(json, "decode, flush");
  ASSERT_EQ(step.size(), 1u);
  EXPECT_DOUBLE_EQ(step[0]["ts"], 0.0);
  EXPECT_EQ(step[0]["args"]["context"], 128);
  EXPECT_DOUBLE_EQ(events_named(json, "cudaGraphLaunch")[0]["ts"], 0.1);
  EXPECT_DOUBLE_EQ(events_named(json, "power W")[0]["args"]["W"], 412.5);
  EXPECT_DOUBLE_EQ(events_named(json, "power W")[0]["ts"], 1.0);
  EXPECT_DOUBLE_EQ(events_named(json, "allocated MB")[0]["args"]["kv_payload"], 3.0);
  EXPECT_DOUBLE_EQ(events_named(json, "allocated MB")[0]["ts"], 2.0);
}

TEST(TraceExport, OddNamesAndEmptyTracesStayJson) {
  TraceData t;
  t.kernels = {{.name = "quote\" back\\slash \xff", .start_ns = 1, .end_ns = 2}};
  const std::vector<PowerSample> power = {{.time_ns = 1, .watts = std::nan("")}};
  const Json json = Json::parse(chrome_trace(t, power));
  EXPECT_EQ(json["traceEvents"].size(), 6u);
  EXPECT_EQ(faults_of(json), std::vector<std::string>{});
  EXPECT_EQ(Json::parse(chrome_trace({}))["traceEvents"].size(), 3u);
}

}  // namespace
}  // namespace kvtoll::profiler
