// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/trace_export.h"

#include <gtest/gtest.h>

#include <cmath>
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
  EXPECT_EQ(Json::parse(chrome_trace(t, power))["traceEvents"].size(), 4u);
  EXPECT_EQ(Json::parse(chrome_trace({}))["traceEvents"].size(), 3u);
}

}  // namespace
}  // namespace kvtoll::profiler
