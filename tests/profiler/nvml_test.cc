// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/nvml.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "kvtoll/profiler/gpu_guard.h"
#include "kvtoll/profiler/nvml_energy.h"

namespace kvtoll::profiler {
namespace {

// A card of our own behind NVML's function table; the functions take no user pointer, so its state
// is here.
struct FakeCard {
  unsigned long long millijoules = 5000;
  unsigned instant_mw = 0;  // 0: the field is not supported
  unsigned power_mw = 300'000;
  unsigned long long reasons = 0;
  unsigned sm_mhz = 1980;
  unsigned mig = 0;
  int ecc = 1;
  unsigned processes = 0;
  bool energy = true;
} card;

NvmlApi fake_api() {
  card = {};
  NvmlApi api;
  api.device_count = [](unsigned* n) { return *n = 1, 0; };
  api.device_by_index = [](unsigned, nvml::Device* d) { return *d = &card, 0; };
  api.device_by_bus_id = [](const char*, nvml::Device* d) { return *d = &card, 0; };
  api.total_energy = [](nvml::Device, unsigned long long* mj) {
    *mj = card.millijoules;
    return card.energy ? 0 : nvml::kNotSupported;
  };
  api.power_usage = [](nvml::Device, unsigned* mw) { return *mw = card.power_mw, 0; };
  api.field_values = [](nvml::Device, int, nvml::FieldValue* f) {
    f->result = card.instant_mw ? 0 : nvml::kNotSupported;
    f->value.ui = card.instant_mw;
    return 0;
  };
  api.clock = [](nvml::Device, int, unsigned* mhz) { return *mhz = card.sm_mhz, 0; };
  api.temperature = [](nvml::Device, int, unsigned* c) { return *c = 55, 0; };
  api.clocks_event_reasons = [](nvml::Device, unsigned long long* bits) {
    return *bits = card.reasons, 0;
  };
  api.memory = [](nvml::Device, nvml::Memory* m) { return *m = {80, 50, 30}, 0; };
  api.mig_mode = [](nvml::Device, unsigned* now, unsigned*) { return *now = card.mig, 0; };
  api.ecc_mode = [](nvml::Device, int* now, int*) { return *now = card.ecc, 0; };
  api.compute_processes = [](nvml::Device, unsigned* n, nvml::ProcessInfo* list) {
    *n = card.processes;
    for (unsigned i = 0; i < *n; ++i) list[i] = {i + 1, 0, 0, 0};
    return 0;
  };
  return api;
}

TEST(Nvml, ReadsEnergyPowerAndTheRest) {
  const NvmlApi api = fake_api();
  const auto counter = make_nvml_energy_counter(0, api);
  ASSERT_TRUE(counter->availability().available);
  EXPECT_DOUBLE_EQ(*counter->joules(), 5.0);
  card.millijoules = 7500;
  EXPECT_DOUBLE_EQ(*counter->joules(), 7.5);
  EXPECT_DOUBLE_EQ(counter->sample()->watts, 300.0);  // the average where there is no instant
  card.instant_mw = 412'000;
  card.reasons = nvml::kReasonSoftwarePowerCap;
  const PowerSample s = *counter->sample();
  EXPECT_DOUBLE_EQ(s.watts, 412.0);
  EXPECT_DOUBLE_EQ(s.sm_mhz, 1980.0);
  EXPECT_DOUBLE_EQ(s.celsius, 55.0);
  EXPECT_EQ(s.memory_used, 30);
  EXPECT_EQ(s.throttle, nvml::kReasonSoftwarePowerCap);
}

TEST(Nvml, MissingDriverCounterOrWholeCardIsAReason) {
  NvmlApi none;
  none.missing = "no driver here";
  EXPECT_NE(make_nvml_energy_counter(0, none)->availability().reason.find("no driver here"),
            std::string::npos);
  const NvmlApi api = fake_api();
  card.energy = false;
  EXPECT_NE(make_nvml_energy_counter(0, api)->availability().reason.find("total-energy"),
            std::string::npos);
  card.energy = true;
  card.mig = 1;
  EXPECT_NE(make_nvml_energy_counter(0, api)->availability().reason.find("MIG"), std::string::npos);
}

TEST(Nvml, ThrottleReasonsAreNamedAndIdleIsNone) {
  EXPECT_FALSE(throttles(nvml::kReasonIdle | nvml::kReasonApplicationClocks));
  EXPECT_TRUE(throttles(nvml::kReasonHardwareThermal));
  EXPECT_EQ(reason_names(0x44), (std::vector<std::string>{"power cap", "thermal (hardware)"}));
}

TEST(GpuGuard, WarnsWithACure) {
  const NvmlApi api = fake_api();
  card.ecc = 0;
  card.mig = 1;
  card.processes = 2;
  const auto warnings = make_gpu_guard(0, api)->preflight();
  ASSERT_EQ(warnings.size(), 3u);
  EXPECT_EQ(warnings[0].code, "other_gpu_processes");
  EXPECT_EQ(warnings[1].code, "mig");
  EXPECT_EQ(warnings[2].code, "ecc_off");
  for (const Warning& w : warnings) EXPECT_FALSE(w.cure.empty());
}

TEST(GpuGuard, SeesThrottledClocksDuringARun) {
  const NvmlApi api = fake_api();
  const auto guard = make_gpu_guard(0, api);
  guard->begin();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(guard->end().throttled);
  card.reasons = nvml::kReasonHardwareSlowdown | nvml::kReasonIdle;
  card.sm_mhz = 900;
  guard->begin();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const ClockReport report = guard->end();
  EXPECT_TRUE(report.throttled);
  EXPECT_EQ(report.reasons, std::vector<std::string>{"hardware slowdown"});
  EXPECT_DOUBLE_EQ(report.sm_mhz_min, 900.0);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_EQ(report.warnings[0].code, "clocks_throttled");
}

TEST(GpuGuard, NoDriverIsOneWarning) {
  NvmlApi none;
  none.missing = "no driver here";
  const auto guard = make_gpu_guard(0, none);
  ASSERT_EQ(guard->preflight().size(), 1u);
  EXPECT_EQ(guard->preflight()[0].code, "nvml_missing");
  guard->begin();
  EXPECT_FALSE(guard->end().throttled);
}

}  // namespace
}  // namespace kvtoll::profiler
