// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/run_energy.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kvtoll/profiler/energy_counter.h"

namespace kvtoll::studies {
namespace {

constexpr int64_t kMs = 1'000'000;

// A counter that steps every 10 ms: 300 W for the first second, then 100 W.
profiler::EnergyWindow two_powers(int64_t end_ms) {
  std::vector<profiler::CounterStep> steps;
  double joules = 0.0;
  for (int64_t ms = 10; ms <= end_ms; ms += 10) {
    joules += ms <= 1000 ? 3.0 : 1.0;
    steps.push_back({ms * kMs, ms * kMs, joules});
  }
  return profiler::close_window(std::move(steps), {}, 0, end_ms * kMs);
}

// A prompt of one second, then 200 steps of 10 ms.
BatchTiming prompt_and_steps() {
  BatchTiming timing;
  timing.prefill = Nanoseconds(1000 * kMs);
  for (int64_t i = 0; i < 200; ++i)
    timing.steps.push_back({i, Nanoseconds((1000 + 10 * i) * kMs), Nanoseconds(10 * kMs), false});
  return timing;
}

const report::ConfigFields kConfig = [] {
  report::ConfigFields c;
  c.new_tokens = 201;
  c.prompt_tokens = 50;
  return c;
}();

TEST(RunEnergy, DecodeStandsApartFromThePrompt) {
  RunEnergy energy;
  for (int run = 0; run < 2; ++run) energy.add_run(two_powers(3000), prompt_and_steps());
  std::vector<profiler::Warning> warnings;
  const report::EnergyFields f = energy.fields(kConfig, 40.0, 60.0, warnings);
  ASSERT_TRUE(f.available) << f.reason;
  EXPECT_NEAR(*f.gross_j_per_token, 500.0 / 201, 0.02);
  ASSERT_TRUE(f.decode.available) << f.decode.reason;
  EXPECT_EQ(f.decode.window_ns, 4000 * kMs);
  EXPECT_NEAR(*f.decode.mean_w, 100.0, 1e-9);
  EXPECT_NEAR(*f.decode.gross_j_per_token, 1.0, 1e-9);
  EXPECT_NEAR(*f.decode.net_j_per_token, 0.5, 1e-9);
  EXPECT_FALSE(f.prefill.available);
  EXPECT_NE(f.prefill.reason.find("1.000 s"), std::string::npos) << f.prefill.reason;
  EXPECT_NE(f.prefill.reason.find("--prefill-energy"), std::string::npos);
}

TEST(RunEnergy, PromptsHaveAWindowOfTheirOwn) {
  RunEnergy energy;
  energy.add_run(two_powers(3000), prompt_and_steps());
  energy.add_run(two_powers(3000), prompt_and_steps());
  energy.drop_last_run();
  energy.set_prompts(two_powers(1000), 4);
  std::vector<profiler::Warning> warnings;
  const report::EnergyFields f = energy.fields(kConfig, std::nan(""), std::nan(""), warnings);
  ASSERT_TRUE(f.prefill.available) << f.prefill.reason;
  EXPECT_NEAR(*f.prefill.gross_j_per_token, 300.0 / (4 * 50), 1e-9);
  EXPECT_FALSE(f.prefill.net_j_per_token.has_value());  // idle is not known
  EXPECT_EQ(f.decode.window_ns, 2000 * kMs);
}

TEST(RunEnergy, WithoutACounterThereIsAReason) {
  RunEnergy energy;
  energy.add_run(two_powers(10), prompt_and_steps());
  std::vector<profiler::Warning> warnings;
  const report::EnergyFields f = energy.fields(kConfig, 1.0, 1.0, warnings);
  EXPECT_FALSE(f.available);
  EXPECT_NE(f.reason.find("too short"), std::string::npos);
}

TEST(RunEnergy, WindowsAddUp) {
  profiler::EnergyWindow w{.ok = true,
                           .method = "rapl",
                           .start_ns = 100,
                           .end_ns = 1100,
                           .steps = 3,
                           .aligned_ns = 900,
                           .aligned = Joules(9),
                           .gross = Joules(10),
                           .edge_error = 0.01};
  profiler::EnergyWindow v = w;
  v.end_ns = 3100;  // three times as long
  v.edge_error = 0.05;
  const auto all = joined_windows({w, v});
  EXPECT_TRUE(all.ok);
  EXPECT_EQ(all.end_ns - all.start_ns, 4000);
  EXPECT_EQ(all.gross.value, 20.0);
  EXPECT_EQ(all.steps, 6);
  EXPECT_NEAR(all.edge_error, 0.04, 1e-12);
  v.ok = false;
  v.reason = "too short";
  EXPECT_FALSE(joined_windows({w, v}).ok);
  EXPECT_EQ(joined_windows({w, v}).reason, "too short");
  EXPECT_FALSE(joined_windows({}).ok);
}

}  // namespace
}  // namespace kvtoll::studies
