// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/gpu_guard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "kvtoll/profiler/nvml_energy.h"

namespace kvtoll::profiler {
namespace {

constexpr auto kPollPeriod = std::chrono::milliseconds(50);

class GpuGuard : public MachineGuard {
 public:
  GpuGuard(int device, const NvmlApi& api) : gpu_(NvmlDevice::open(api, cuda_bus_id(device))) {}
  ~GpuGuard() override { stop_thread(); }

  std::vector<Warning> preflight() const override {
    if (!gpu_)
      return {{"nvml_missing", gpu_.error().message,
               "install the NVIDIA driver; clocks and throttling are not watched"}};
    std::vector<Warning> warnings;
    add_other_processes(warnings);
    if (gpu_->mig().value_or(false))
      warnings.push_back({"mig",
                          "the GPU is split by MIG: this instance has a part of its memory "
                          "bandwidth",
                          "sudo nvidia-smi -mig 0"});
    if (gpu_->ecc() == false)
      warnings.push_back({"ecc_off",
                          "ECC is off: bandwidth and capacity differ from the data-sheet "
                          "setting of data-centre cards",
                          "sudo nvidia-smi -e 1, or compare only with runs without ECC"});
    if (gpu_->persistence() == false)
      warnings.push_back({"persistence_off",
                          "persistence mode is off: the first launch pays for "
                          "the driver's start",
                          "sudo nvidia-smi -pm 1"});
    return warnings;
  }

  void begin() override {
    stop_thread();
    samples_.clear();
    stop_ = false;
    if (gpu_) thread_ = std::thread([this] { poll(); });
  }

  ClockReport end() override {
    stop_thread();
    return judge_samples(samples_);
  }

  static ClockReport judge_samples(const std::vector<PowerSample>& samples) {
    ClockReport report;
    uint64_t bits = 0;
    int64_t throttled = 0;
    double sum = 0.0;
    for (const PowerSample& s : samples) {
      bits |= s.throttle;
      throttled += throttles(s.throttle) ? 1 : 0;
      sum += s.sm_mhz;
      report.sm_mhz_min =
          report.sm_mhz_min == 0.0 ? s.sm_mhz : std::min(report.sm_mhz_min, s.sm_mhz);
      report.celsius_max = std::max(report.celsius_max, s.celsius);
    }
    if (samples.empty()) return report;
    report.sm_mhz_mean = sum / static_cast<double>(samples.size());
    report.throttled = throttled > 0;
    if (!report.throttled) return report;
    report.reasons = reason_names(bits & ~nvml::kReasonIdle);
    report.warnings.push_back(
        {"clocks_throttled",
         fmt::format("clocks were throttled in {} of {} samples ({})", throttled, samples.size(),
                     fmt::join(report.reasons, ", ")),
         "improve cooling, raise the power limit (nvidia-smi -pl) or lock clocks below it "
         "(nvidia-smi -lgc)"});
    return report;
  }

 private:
  void add_other_processes(std::vector<Warning>& warnings) const {
    const auto list = gpu_->processes();
    if (!list) return;
    const auto self = static_cast<unsigned>(getpid());
    const auto others = std::count_if(list->begin(), list->end(),
                                      [&](const nvml::ProcessInfo& p) { return p.pid != self; });
    // In a container the driver reports host pids, so one process may be this one.
    const bool self_listed = static_cast<size_t>(others) < list->size();
    if (others > 1 || (others == 1 && self_listed))
      warnings.push_back({"other_gpu_processes",
                          fmt::format("{} other processes use this GPU", others),
                          "stop them (nvidia-smi lists them)"});
  }

  void poll() {
    while (!stop_.load(std::memory_order_relaxed)) {
      samples_.push_back(read_sample(*gpu_));
      std::this_thread::sleep_for(kPollPeriod);
    }
  }

  void stop_thread() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  Result<NvmlDevice> gpu_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::vector<PowerSample> samples_;
};

}  // namespace

std::unique_ptr<MachineGuard> make_gpu_guard(int device, const NvmlApi& api) {
  return std::make_unique<GpuGuard>(device, api);
}

}  // namespace kvtoll::profiler
