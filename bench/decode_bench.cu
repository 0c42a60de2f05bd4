// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Decode speed of a whole model on the GPU: tok/s, GB/s, percent of the datasheet's and of the
// measured bandwidth at each context, and the slope over the context.
// Example: decode_bench --model synthetic:qwen2.5-7b --contexts 128,2048 --out results/decode.json
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/core/build_info.h"
#include "kvtoll/core/clock.h"
#include "kvtoll/core/rng.h"
#include "kvtoll/core/statistics.h"
#include "kvtoll/device/bandwidth_probe.h"
#include "kvtoll/device/device_info.h"
#include "kvtoll/engine/step.h"

namespace kvtoll {
namespace {

constexpr int kWarmSteps = 4;  // one launch at a time, captured, and two replays

struct Options {
  std::string model = "synthetic:qwen2.5-7b", kv = "fp16", launch = "graph", attention = "fused";
  std::string out, command;
  std::vector<int> contexts = {128, 2048};
  int batch = 1, steps = 64;
};

// Adds the bytes that every launch of a step declares.
class ByteCounter final : public trace::Sink {
 public:
  void begin_step(const trace::Step&) override { bytes = Bytes(); }
  void end_step() override {}
  void begin_op(const trace::Op& op) override { bytes += op.declared; }
  void end_op() override {}
  void replayed_op(const trace::Op& op) override { bytes += op.declared; }
  Bytes bytes;
};

struct Point {
  int context;
  double step_ms, best_ms, tok_s, gb_s, prefill_ms;
  uint32_t token_hash;  // of all tokens; random weights repeat themselves, so equal says little
};

std::vector<int> parse_list(const char* text) {
  std::vector<int> values;
  for (const char* p = text; *p; p += std::strcspn(p, ",") + (p[std::strcspn(p, ",")] == ','))
    values.push_back(std::atoi(p));
  return values;
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 0; i < argc; ++i) o.command += (i ? " " : "") + std::string(argv[i]);
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i], value = argv[i + 1];
    if (key == "--model") o.model = value;
    if (key == "--kv") o.kv = value;
    if (key == "--launch") o.launch = value;
    if (key == "--attention") o.attention = value;
    if (key == "--out") o.out = value;
    if (key == "--contexts") o.contexts = parse_list(value.c_str());
    if (key == "--batch") o.batch = std::atoi(value.c_str());
    if (key == "--steps") o.steps = std::atoi(value.c_str());
  }
  return o;
}

// Fills all slots with `context` tokens, then times steps.
Result<Point> measure(Backend& backend, const Options& o, int context, ByteCounter& counter) {
  std::vector<int32_t> ids;
  Rng rng(1);
  for (int i = 0; i < context; ++i)
    ids.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(backend.config().vocab))));
  const Nanoseconds begin = now();
  for (int slot = 0; slot < o.batch; ++slot) {
    backend.clear_slot(slot);
    const SlotTokens prompt[] = {{slot, 0, ids}};
    KVTOLL_TRY_VOID(run_step(backend, {.slots = prompt, .prefill = true}));
    (void)backend.next_tokens();
  }
  const Nanoseconds filled = now();
  // As the engine generates (engine/session.cc): a captured step is queued while the one before
  // runs, and a step's time is from token to token.
  const int steps = o.steps + kWarmSteps;
  std::vector<double> times;
  uint32_t hash = 2166136261u;
  Nanoseconds known = now();  // when the last token was
  const auto launch = [&](int step, bool ahead) -> Result<void> {
    std::vector<SlotTokens> slots(static_cast<size_t>(o.batch));
    for (int slot = 0; slot < o.batch; ++slot)
      slots[static_cast<size_t>(slot)] = {slot, backend.length(slot), {}};
    if (step == kWarmSteps - 1) trace::install(&counter);
    const Result<void> done = run_step(backend, {.slots = slots, .ahead = ahead});
    trace::install(nullptr);
    return done;
  };
  int launched = 0;
  for (int step = 0; step < steps; ++step) {
    if (launched == step) KVTOLL_TRY_VOID(launch(launched++, false));
    if (backend.runs_ahead() && launched < steps) KVTOLL_TRY_VOID(launch(launched++, true));
    for (const int32_t token : backend.next_tokens())
      hash = (hash ^ static_cast<uint32_t>(token)) * 16777619u;
    const Nanoseconds before = std::exchange(known, now());
    if (step >= kWarmSteps) times.push_back(static_cast<double>((known - before).value) * 1e-6);
  }
  const double median = percentile(times, 50.0);
  return Point{context,
               median,
               *std::min_element(times.begin(), times.end()),
               o.batch * 1e3 / median,
               static_cast<double>(counter.bytes.value) / (median * 1e6),
               static_cast<double>((filled - begin).value) * 1e-6 / o.batch,
               hash};
}

void write_record(const Options& o, const DeviceInfo& device, const MeasuredBandwidth& peak,
                  const std::vector<Point>& points, const LineFit& fit, const Backend& backend) {
  if (o.out.empty()) return;
  std::FILE* f = std::fopen(o.out.c_str(), "w");
  if (!f) return std::perror(o.out.c_str());
  std::fprintf(f,
               "{\n  \"bench\": \"decode\", \"command\": \"%s\", \"git_revision\": \"%s\", "
               "\"git_dirty\": %s,\n  \"device\": \"%s\", \"driver\": \"%s\", \"model\": \"%s\", "
               "\"kv\": \"%s\", \"launch\": \"%s\", \"attention\": \"%s\", \"batch\": %d, "
               "\"steps\": %d,\n  \"peak_gb_s\": %.0f, \"measured_read_gb_s\": %.0f, "
               "\"measured_copy_gb_s\": %.0f, \"memory_bytes\": %lld,\n  \"points\": [",
               o.command.c_str(), std::string(build_info().git_revision).c_str(),
               build_info().git_dirty ? "true" : "false", device.name.c_str(),
               device.driver.c_str(), o.model.c_str(), o.kv.c_str(), o.launch.c_str(),
               o.attention.c_str(), o.batch, o.steps, device.peak_gb_s, peak.read_gb_s,
               peak.copy_gb_s, static_cast<long long>(backend.memory().total().value));
  for (size_t i = 0; i < points.size(); ++i)
    std::fprintf(
        f,
        "%s\n    {\"context\": %d, \"step_ms_median\": %.4f, \"step_ms_min\": %.4f, "
        "\"tok_s\": %.2f, \"declared_gb_s\": %.1f, \"prefill_ms\": %.2f, \"token_hash\": \"%08x\"}",
        i ? "," : "", points[i].context, points[i].step_ms, points[i].best_ms, points[i].tok_s,
        points[i].gb_s, points[i].prefill_ms, points[i].token_hash);
  std::fprintf(f,
               "\n  ],\n  \"fit\": {\"intercept_ms\": %.4f, \"slope_ns_per_token\": %.3f, "
               "\"slope_ci95\": [%.3f, %.3f]}\n}\n",
               fit.intercept, fit.slope * 1e6, fit.slope_ci95.low * 1e6, fit.slope_ci95.high * 1e6);
  std::fclose(f);
}

Result<void> run(const Options& o) {
  const DeviceInfo device = device_info(0);
  if (!device.available) return machine_error("{}", device.reason);
  MeasuredBandwidth peak;
  {
    DeviceMemory memory(0);
    KVTOLL_TRY(peak, measure_bandwidth(memory));
  }
  KVTOLL_TRY(auto checkpoint, open_checkpoint(o.model));
  BackendOptions options;
  options.attention = o.attention == "fused" ? Attention::kFused : Attention::kMaterialize;
  options.launch = o.launch == "graph" ? Launch::kGraph : Launch::kEager;
  const Nanoseconds begin = now();
  KVTOLL_TRY(auto backend, make_backend("cuda", checkpoint, options));
  std::printf("%s on %s: ready in %.2f s; %.0f GB/s on paper, %.0f read, %.0f copied\n",
              o.model.c_str(), device.name.c_str(),
              static_cast<double>((now() - begin).value) * 1e-9, device.peak_gb_s, peak.read_gb_s,
              peak.copy_gb_s);
  KVTOLL_TRY(const KvPolicy policy, KvPolicy::parse(o.kv));
  CacheRequest request;
  KVTOLL_TRY(request.layers, policy.resolve(checkpoint->config().layers));
  const int most = *std::max_element(o.contexts.begin(), o.contexts.end());
  request.slots = o.batch;
  request.max_prompt = most;
  request.max_tokens = most + o.steps + 8;
  KVTOLL_TRY_VOID(backend->reserve(request));
  ByteCounter counter;
  std::vector<Point> points;
  std::vector<double> xs, ys;
  std::printf("%9s %9s %9s %9s %8s %8s %8s %10s %9s\n", "context", "step ms", "min ms", "tok/s",
              "GB/s", "% paper", "% read", "prefill ms", "tokens");
  for (int context : o.contexts) {
    KVTOLL_TRY(const Point p, measure(*backend, o, context, counter));
    points.push_back(p);
    xs.push_back(double(o.batch) * (context + 4 + o.steps / 2));
    ys.push_back(p.step_ms);
    std::printf("%9d %9.3f %9.3f %9.1f %8.0f %8.1f %8.1f %10.1f  %08x\n", p.context, p.step_ms,
                p.best_ms, p.tok_s, p.gb_s, 100 * p.gb_s / device.peak_gb_s,
                100 * p.gb_s / peak.read_gb_s, p.prefill_ms, p.token_hash);
    std::fflush(stdout);
  }
  LineFit fit;
  if (points.size() > 1) {
    fit = fit_line(xs, ys);
    const double bytes = 4.0 * checkpoint->config().layers * checkpoint->config().kv_width();
    std::printf("slope %.2f ns per cached token: %.0f GB/s, %.1f %% of paper; intercept %.3f ms\n",
                fit.slope * 1e6, bytes / (fit.slope * 1e6),
                100 * bytes / (fit.slope * 1e6) / device.peak_gb_s, fit.intercept);
  }
  write_record(o, device, peak, points, fit, *backend);
  return {};
}

}  // namespace
}  // namespace kvtoll

int main(int argc, char** argv) {
  const auto done = kvtoll::run(kvtoll::parse(argc, argv));
  if (!done) std::fprintf(stderr, "decode_bench: %s\n", done.error().message.c_str());
  return done ? 0 : done.error().exit_code();
}
