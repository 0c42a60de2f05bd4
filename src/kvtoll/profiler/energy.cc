// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/profiler/energy.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <thread>

#include "kvtoll/core/clock.h"
#include "kvtoll/profiler/energy_counter.h"
#include "kvtoll/profiler/nvml_energy.h"
#include "kvtoll/profiler/rapl.h"

namespace kvtoll::profiler {
namespace {

constexpr auto kPollPeriod = std::chrono::milliseconds(5);
constexpr int kPollsPerSample = 5;  // power and clocks every 25 ms

double seconds(int64_t ns) { return static_cast<double>(ns) * 1e-9; }

double median_step(const std::vector<CounterStep>& steps) {
  std::vector<double> gaps;
  for (size_t i = 1; i < steps.size(); ++i)
    gaps.push_back(static_cast<double>(steps[i].time_ns - steps[i - 1].time_ns));
  if (gaps.empty()) return 0.0;
  std::nth_element(gaps.begin(), gaps.begin() + static_cast<ptrdiff_t>(gaps.size() / 2),
                   gaps.end());
  return gaps[gaps.size() / 2];
}

double mean_power(const std::vector<PowerSample>& samples, int64_t start_ns, int64_t end_ns) {
  double sum = 0.0;
  int64_t n = 0;
  for (const PowerSample& s : samples)
    if (s.time_ns >= start_ns && s.time_ns <= end_ns && std::isfinite(s.watts)) sum += s.watts, ++n;
  return n > 0 ? sum / static_cast<double>(n) : 0.0;
}

// Polls on a thread of its own between begin() and end().
class PollingMeter : public EnergyMeter {
 public:
  explicit PollingMeter(std::unique_ptr<EnergyCounter> counter) : counter_(std::move(counter)) {}
  ~PollingMeter() override { stop_thread(); }

  const Availability& availability() const override { return counter_->availability(); }
  std::string method() const override { return counter_->method(); }
  Nanoseconds minimum_window() const override {
    const int64_t poll = std::chrono::nanoseconds(kPollPeriod).count();
    return Nanoseconds(std::max(counter_->period().value, poll) * (kMinimumSteps + 2));
  }

  double idle_watts(Nanoseconds duration) override {
    begin();
    std::this_thread::sleep_for(std::chrono::nanoseconds(duration.value));
    const EnergyWindow window = end();
    return window.ok ? window.watts() : std::nan("");
  }

  void begin() override {
    stop_thread();
    steps_.clear();
    samples_.clear();
    steps_.reserve(1 << 16);
    samples_.reserve(1 << 14);
    stop_ = false;
    if (availability().available) thread_ = std::thread([this] { poll(); });
    start_ns_ = now().value;
  }

  EnergyWindow end() override {
    const int64_t end_ns = now().value;
    stop_thread();
    if (!availability().available) {
      EnergyWindow none;
      none.reason = availability().reason;
      none.method = method();
      none.start_ns = start_ns_;
      none.end_ns = end_ns;
      return none;
    }
    EnergyWindow window = close_window(std::move(steps_), std::move(samples_), start_ns_, end_ns);
    window.method = method();
    return window;
  }

 private:
  void poll() {
    std::optional<double> last = counter_->joules();
    int64_t last_ns = now().value;
    for (int turn = 0; !stop_.load(std::memory_order_relaxed); ++turn) {
      std::this_thread::sleep_for(kPollPeriod);
      const std::optional<double> value = counter_->joules();
      const int64_t time = now().value;
      if (value && (!last || *value != *last)) {
        if (last) steps_.push_back({last_ns, time, *value});
        last = value;
      }
      last_ns = time;
      if (turn % kPollsPerSample != 0) continue;
      if (std::optional<PowerSample> sample = counter_->sample()) samples_.push_back(*sample);
    }
  }

  void stop_thread() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  std::unique_ptr<EnergyCounter> counter_;
  std::thread thread_;
  std::atomic<bool> stop_{false};
  std::vector<CounterStep> steps_;
  std::vector<PowerSample> samples_;
  int64_t start_ns_ = 0;
};

}  // namespace

EnergyWindow close_window(std::vector<CounterStep> steps, std::vector<PowerSample> samples,
                          int64_t start_ns, int64_t end_ns) {
  EnergyWindow window;
  window.start_ns = start_ns;
  window.end_ns = end_ns;
  window.sampled_watts = mean_power(samples, start_ns, end_ns);
  window.samples = std::move(samples);
  std::erase_if(steps,
                [&](const CounterStep& s) { return s.before_ns < start_ns || s.time_ns > end_ns; });
  window.steps = static_cast<int64_t>(steps.size());
  if (steps.size() < 2) {
    window.reason = fmt::format("the energy counter moved {} times in {:.3f} s: too short a window",
                                steps.size(), seconds(end_ns - start_ns));
    return window;
  }
  const CounterStep &first = steps.front(), &last = steps.back();
  window.ok = true;
  window.step_ns = median_step(steps);
  window.aligned_ns = last.time_ns - first.time_ns;
  window.aligned = Joules(last.joules - first.joules);
  window.gross = Joules(window.watts() * seconds(end_ns - start_ns));
  const int64_t doubt = (first.time_ns - first.before_ns) + (last.time_ns - last.before_ns);
  window.edge_error = static_cast<double>(doubt) / static_cast<double>(window.aligned_ns);
  window.long_enough = window.steps >= kMinimumSteps && window.edge_error <= 0.01;
  window.counter = std::move(steps);
  return window;
}

EnergyWindow part_of(const EnergyWindow& window, int64_t start_ns, int64_t end_ns) {
  EnergyWindow part = close_window(window.counter, window.samples, start_ns, end_ns);
  part.method = window.method;
  return part;
}

EnergyResult settle_energy(const EnergyWindow& window, double idle_watts_before,
                           double idle_watts_after, int64_t tokens) {
  EnergyResult r;
  r.method = window.method;
  r.available = window.ok && tokens > 0;
  r.reason = window.ok ? (tokens > 0 ? "" : "no tokens in the window") : window.reason;
  r.window_s = seconds(window.end_ns - window.start_ns);
  r.counter_steps = window.steps;
  r.samples = static_cast<int64_t>(window.samples.size());
  r.tokens = tokens;
  r.edge_error = window.edge_error;
  r.idle_watts_before = idle_watts_before;
  r.idle_watts_after = idle_watts_after;
  if (!r.available) return r;
  const double n = static_cast<double>(tokens);
  const double idle = std::isfinite(idle_watts_before) && std::isfinite(idle_watts_after)
                          ? 0.5 * (idle_watts_before + idle_watts_after)
                          : std::nan("");
  r.gross_watts = window.watts();
  r.gross_j_per_token = window.gross.value / n;
  r.net_j_per_token = (window.gross.value - idle * r.window_s) / n;
  if (!window.long_enough)
    r.warnings.push_back(
        {"energy_window_short",
         fmt::format("the energy window holds {} counter steps and its edges cost up to {:.1f} %",
                     window.steps, 100 * window.edge_error),
         fmt::format("measure at least {:.1f} s", 102 * window.step_ns * 1e-9)});
  if (window.sampled_watts > 0) {
    r.sampled_j_per_token = window.sampled_watts * r.window_s / n;
    r.disagreement = std::abs(r.sampled_j_per_token / r.gross_j_per_token - 1.0);
    if (r.disagreement > 0.10)
      r.warnings.push_back(
          {"energy_disagreement",
           fmt::format("sampled power says {:.3f} J/token, the energy counter "
                       "{:.3f}: {:.0f} % apart",
                       r.sampled_j_per_token, r.gross_j_per_token, 100 * r.disagreement),
           "measure longer; if it stays, trust neither below this difference"});
  }
  if (std::isfinite(idle) && std::abs(idle_watts_after - idle_watts_before) > 0.1 * idle)
    r.warnings.push_back({"idle_power_drifted",
                          fmt::format("idle power was {:.1f} W before and {:.1f} W after",
                                      idle_watts_before, idle_watts_after),
                          "wait for the machine to settle; net energy carries this difference"});
  return r;
}

std::unique_ptr<EnergyMeter> make_polling_meter(std::unique_ptr<EnergyCounter> counter) {
  return std::make_unique<PollingMeter>(std::move(counter));
}

std::unique_ptr<EnergyMeter> make_energy_meter(std::string_view backend, int device) {
  if (backend == "cuda") return make_polling_meter(make_nvml_energy_counter(device));
  return make_polling_meter(make_rapl_counter());
}

}  // namespace kvtoll::profiler
