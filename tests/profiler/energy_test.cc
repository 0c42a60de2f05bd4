// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/energy.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "kvtoll/core/clock.h"
#include "kvtoll/profiler/energy_counter.h"

namespace kvtoll::profiler {
namespace {

constexpr int64_t kMs = 1'000'000;

// A counter of 200 W that steps every 100 ms, seen by a poll every 5 ms.
std::vector<CounterStep> steps_of(int count, int64_t first_ns, double watts = 200.0) {
  std::vector<CounterStep> steps;
  for (int i = 0; i < count; ++i) {
    const int64_t at = first_ns + i * 100 * kMs;
    steps.push_back({at - 5 * kMs, at, watts * (i + 1) * 0.1});
  }
  return steps;
}

TEST(EnergyWindow, AlignsItsEdgesToCounterSteps) {
  const EnergyWindow w = close_window(steps_of(150, 30 * kMs), {}, 0, 12'000 * kMs);
  ASSERT_TRUE(w.ok);
  EXPECT_EQ(w.steps, 120);
  EXPECT_DOUBLE_EQ(w.watts(), 200.0);
  EXPECT_DOUBLE_EQ(w.gross.value, 200.0 * 12.0);  // not the 2380 J between the edges
  EXPECT_DOUBLE_EQ(w.step_ns, 100.0 * kMs);
  EXPECT_TRUE(w.long_enough);
  EXPECT_NEAR(w.edge_error, 10.0 / 11'900, 1e-9);
}

TEST(EnergyWindow, ShortWindowsSaySo) {
  EXPECT_FALSE(close_window(steps_of(50, kMs * 30), {}, 0, 150 * kMs).long_enough);
  const EnergyWindow one = close_window(steps_of(50, kMs * 30), {}, 0, 90 * kMs);
  EXPECT_FALSE(one.ok);
  EXPECT_NE(one.reason.find("too short"), std::string::npos);
}

TEST(EnergyResult, NetTakesAwayIdleAndSecondOpinionIsFlagged) {
  std::vector<PowerSample> samples;
  for (int i = 0; i < 100; ++i) samples.push_back({.time_ns = i * 100 * kMs, .watts = 260.0});
  const EnergyWindow w = close_window(steps_of(150, 30 * kMs), samples, 0, 12'000 * kMs);
  const EnergyResult r = settle_energy(w, 70.0, 74.0, 1200);
  ASSERT_TRUE(r.available);
  EXPECT_NEAR(r.gross_j_per_token, 2.0, 1e-9);
  EXPECT_NEAR(r.net_j_per_token, (200.0 - 72.0) * 12 / 1200, 1e-9);
  EXPECT_NEAR(r.disagreement, 0.3, 1e-9);
  ASSERT_EQ(r.warnings.size(), 1u);
  EXPECT_EQ(r.warnings[0].code, "energy_disagreement");
}

TEST(EnergyResult, WarnsOfShortWindowsAndDriftingIdle) {
  const EnergyWindow w = close_window(steps_of(50, 30 * kMs), {}, 0, 3000 * kMs);
  const EnergyResult r = settle_energy(w, 50.0, 80.0, 10);
  ASSERT_EQ(r.warnings.size(), 2u);
  EXPECT_EQ(r.warnings[0].code, "energy_window_short");
  EXPECT_EQ(r.warnings[1].code, "idle_power_drifted");
}

// Rises by 1 J per millisecond of real time: 1000 W.
class ClockCounter : public EnergyCounter {
 public:
  const Availability& availability() const override { return availability_; }
  std::string method() const override { return "test"; }
  Nanoseconds period() const override { return Nanoseconds(kMs); }
  std::optional<double> joules() override { return static_cast<double>(now().value / kMs); }

 private:
  Availability availability_{true, "", ""};
};

TEST(EnergyMeter, PollsARunningCounter) {
  const auto meter = make_polling_meter(std::make_unique<ClockCounter>());
  meter->begin();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const EnergyWindow w = meter->end();
  ASSERT_TRUE(w.ok) << w.reason;
  EXPECT_NEAR(w.watts(), 1000.0, 30.0);
  EXPECT_NEAR(w.gross.value, (w.end_ns - w.start_ns) / 1e6, 10.0);
  EXPECT_NEAR(meter->idle_watts(Nanoseconds(100 * kMs)), 1000.0, 60.0);
}

TEST(EnergyMeter, UnavailableIsAReasonNotACrash) {
  const auto meter = make_energy_meter("cuda", 63);
  if (meter->availability().available) GTEST_SKIP() << "this machine has 64 GPUs";
  EXPECT_FALSE(meter->availability().reason.empty());
  meter->begin();
  const EnergyWindow w = meter->end();
  EXPECT_FALSE(w.ok);
  EXPECT_FALSE(w.reason.empty());
  EXPECT_TRUE(std::isnan(meter->idle_watts(Nanoseconds(1))));
  EXPECT_FALSE(settle_energy(w, 0, 0, 10).available);
}

}  // namespace
}  // namespace kvtoll::profiler
