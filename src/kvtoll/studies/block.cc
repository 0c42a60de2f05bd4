// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/block.h"

#include <algorithm>

#include "kvtoll/core/files.h"
#include "kvtoll/profiler/gzip.h"
#include "kvtoll/profiler/trace_export.h"
#include "kvtoll/studies/counted_pass.h"
#include "kvtoll/studies/record_parts.h"
#include "kvtoll/studies/repeat_rule.h"
#include "kvtoll/studies/run_energy.h"
#include "kvtoll/studies/traced_pass.h"

namespace kvtoll::studies {
namespace {

constexpr Nanoseconds kIdle{2'000'000'000};  // watched for idle power, where there is a counter

// One format while its block is measured.
struct Format {
  const Configuration* configuration;
  report::RunRecord record;
  CacheRequest request;
  std::vector<TimedRun> runs;
  RunEnergy energy;
  bool alive() const { return record.status == report::Status::kOk; }
};

report::Status status_of(const Error& error) {
  if (error.kind == ErrorKind::kOutOfMemory) return report::Status::kOom;
  if (error.kind == ErrorKind::kUnsupported) return report::Status::kUnsupported;
  return report::Status::kFailed;
}

Result<CacheRequest> cache_request(const report::RecordKey& key, int layers) {
  KVTOLL_TRY(const KvPolicy policy, KvPolicy::parse(key.kv));
  CacheRequest request;
  KVTOLL_TRY(request.layers, policy.resolve(layers));
  request.residual_length = static_cast<int>(key.residual);
  request.slots = static_cast<int>(key.batch);
  request.max_prompt = key.prompt_tokens;
  request.max_tokens = key.prompt_tokens + key.new_tokens;
  return request;
}

class BlockRun {
 public:
  explicit BlockRun(const BlockSetup& setup) : setup_(setup) {
    for (const Configuration& configuration : setup.block.formats) {
      Format format{&configuration, setup.base, {}, {}, {}};
      format.record.config.kv = configuration.key.kv;
      auto request = cache_request(configuration.key, setup.backend.config().layers);
      if (request) format.request = std::move(*request);
      formats_.push_back(std::move(format));
      if (!request) drop(formats_.back(), request.error());
    }
  }

  Result<std::vector<report::RunRecord>> measure() {
    Instruments& instruments = setup_.instruments;
    if (instruments.idle_watts <= 0.0) instruments.idle_watts = idle_watts();
    const double idle_before = instruments.idle_watts;
    KVTOLL_TRY_VOID(setup_.base.protocol.order == "sequential" ? sequential() : interleaved());
    instruments.idle_watts = idle_watts();
    std::vector<report::RunRecord> records;
    for (Format& format : formats_) {
      if (format.alive()) finish(format, idle_before, instruments.idle_watts);
      records.push_back(std::move(format.record));
    }
    return records;
  }

 private:
  const report::ProtocolFields& protocol() const { return setup_.base.protocol; }

  Result<void> interleaved() {
    for (int64_t i = 0; i < protocol().warmups + protocol().runs; ++i)
      for (Format& format : formats_) KVTOLL_TRY_VOID(one_run(format, i));
    for (Format& format : formats_) KVTOLL_TRY_VOID(passes(format));
    return {};
  }

  Result<void> sequential() {
    for (Format& format : formats_) {
      for (int64_t i = 0; i < protocol().warmups + protocol().runs; ++i)
        KVTOLL_TRY_VOID(one_run(format, i));
      KVTOLL_TRY_VOID(passes(format));
    }
    return {};
  }

  // What is measured beside the runs, in generations of its own.
  Result<void> passes(Format& format) {
    KVTOLL_TRY_VOID(prompts_run(format));
    return traced_run(format);
  }

  // i counts warm-ups, then runs.
  Result<void> one_run(Format& format, int64_t i) {
    if (!format.alive()) return {};
    const int64_t round = i - protocol().warmups;
    for (bool repeat = false;; repeat = true) {
      announce(format, round < 0 ? fmt::format("warm-up {}/{}", i + 1, protocol().warmups)
                                 : fmt::format("run {}/{}", round + 1, protocol().runs));
      bool throttled = false;
      auto done =
          round < 0 ? generate(format).map([](auto&&) {}) : measured_run(format, round, throttled);
      if (!done) return stopped_by(format, done.error());
      if (!repeats_.again(throttled, repeat)) return {};
      ++format.record.protocol.repeated_runs;
      format.runs.pop_back();
      format.energy.drop_last_run();
    }
  }

  Result<BatchTiming> generate(Format& format) {
    KVTOLL_TRY_VOID(prepare(format));
    Session session(setup_.backend);
    return session.generate_fixed(setup_.prompt, format.request.slots,
                                  static_cast<int>(format.configuration->key.new_tokens),
                                  on_step());
  }

  Result<void> measured_run(Format& format, int64_t round, bool& throttled) {
    KVTOLL_TRY_VOID(prepare(format));
    const bool metered = setup_.instruments.meter->availability().available;
    setup_.instruments.guard->begin();
    if (metered) setup_.instruments.meter->begin();
    const Nanoseconds start = now();
    auto timing = generate(format);
    const auto window = metered ? setup_.instruments.meter->end() : profiler::EnergyWindow{};
    const profiler::ClockReport clocks = setup_.instruments.guard->end();
    if (!timing) return tl::unexpected<Error>(timing.error());
    format.energy.add_run(window, *timing);
    format.runs.push_back({round, start, std::move(*timing)});
    for (const profiler::Warning& w : clocks.warnings) warn(format, w);
    throttled = clocks.throttled;
    return {};
  }

  // Prompts one after the other for as long as the energy counter needs.
  Result<void> prompts_run(Format& format) {
    profiler::EnergyMeter& meter = *setup_.instruments.meter;
    if (!setup_.prefill_energy || !meter.availability().available || !format.alive()) return {};
    announce(format, "prompts");
    if (auto ready = prepare(format); !ready) return stopped_by(format, ready.error());
    Session session(setup_.backend);
    int64_t generations = 0;
    meter.begin();
    const Nanoseconds start = now();
    for (; now() - start < meter.minimum_window(); ++generations) {
      auto done = session.generate_fixed(setup_.prompt, format.request.slots, 1, {});
      if (!done) return stopped_by(format, done.error());
      if (setup_.interrupted && setup_.interrupted())
        return tl::unexpected<Error>({ErrorKind::kInterrupted, "interrupted between prompts"});
    }
    format.energy.set_prompts(meter.end(), generations);
    return {};
  }

  Result<void> traced_run(Format& format) {
    if (!format.alive()) return {};
    announce(format, "traced");
    if (auto ready = prepare(format); !ready) return stopped_by(format, ready.error());
    Session session(setup_.backend);
    const bool kept = !setup_.traces.empty();
    if (kept) setup_.instruments.meter->begin();  // power beside the kernels
    auto pass = run_traced_pass(session, setup_.prompt, format.request.slots,
                                static_cast<int>(format.configuration->key.new_tokens),
                                *setup_.instruments.tracer, on_step());
    const profiler::EnergyWindow power =
        kept ? setup_.instruments.meter->end() : profiler::EnergyWindow{};
    if (!pass) return stopped_by(format, pass.error());
    fill_trace(format.record, *pass);
    const MemorySplit split = setup_.backend.memory();
    setup_.instruments.memory->sample(split);
    if (kept) KVTOLL_TRY_VOID(keep_trace(format, *pass, power.samples));
    format.record.memory = memory_fields(split, setup_.backend.peak_memory(),
                                         setup_.instruments.memory->beside(split));
    format.record.config.attention_kernels = setup_.backend.info().attention_kernels;
    if (!setup_.instruments.dram) {
      format.record.dram.reason = "no DRAM counters on a CPU";
      return {};
    }
    announce(format, "counted");
    auto counted = run_counted_pass(format.record, session, setup_.prompt, format.request.slots,
                                    static_cast<int>(format.configuration->key.new_tokens),
                                    *setup_.instruments.dram);
    if (!counted) return stopped_by(format, counted.error());
    return {};
  }

  Result<void> keep_trace(const Format& format, const TracedPass& pass,
                          const std::vector<profiler::PowerSample>& power) {
    const profiler::MemoryReport memory = setup_.instruments.memory->report();
    const std::string json = profiler::chrome_trace(joined_traces(pass.windows), power,
                                                    std::span(memory.series).last(1));
    std::filesystem::path file = setup_.traces / format.configuration->file();
    file.replace_extension(".trace.json.gz");
    return write_file_atomic(file, profiler::gzip(json));
  }

  // Reserves the cache of this format unless it is the one that is there.
  Result<void> prepare(Format& format) {
    if (reserved_ == &format) return {};
    reserved_ = nullptr;
    KVTOLL_TRY_VOID(setup_.backend.reserve(format.request));
    reserved_ = &format;
    return {};
  }

  Result<void> stopped_by(Format& format, const Error& error) {
    if (error.kind == ErrorKind::kInterrupted) return tl::unexpected<Error>(error);
    drop(format, error);
    return {};
  }

  // The format leaves the block; the others go on.
  void drop(Format& format, const Error& error) {
    format.record = refused_record(setup_.base, *format.configuration, error);
    if (reserved_ == &format) reserved_ = nullptr;
  }

  void finish(Format& format, double idle_before, double idle_after) {
    report::RunRecord& record = format.record;
    fill_timing(record, format.runs);
    const auto& meter = *setup_.instruments.meter;
    if (meter.availability().available) {
      std::vector<profiler::Warning> warnings;
      record.energy = format.energy.fields(record.config, idle_before, idle_after, warnings);
      for (const profiler::Warning& w : warnings) warn(format, w);
    } else {
      record.energy.reason = meter.availability().reason;
    }
  }

  double idle_watts() {
    auto& meter = *setup_.instruments.meter;
    return meter.availability().available ? meter.idle_watts(kIdle) : 0.0;
  }

  void announce(const Format& format, const std::string& what) {
    setup_.progress.phase(format.configuration->label(), what);
  }

  static void warn(Format& format, const profiler::Warning& warning) {
    std::string text = warning_text(warning);
    auto& list = format.record.warnings;
    if (std::ranges::find(list, text) == list.end()) list.push_back(std::move(text));
  }

  std::function<bool(int)> on_step() {
    return [this](int) {
      setup_.progress.step(setup_.block.formats.front().key.batch);
      return !setup_.interrupted || !setup_.interrupted();
    };
  }

  const BlockSetup& setup_;
  std::vector<Format> formats_;
  const Format* reserved_ = nullptr;
  RepeatRule repeats_;
};

}  // namespace

Instruments make_instruments(const std::string& backend, int device) {
  return {profiler::make_kernel_tracer(backend),
          profiler::make_energy_meter(backend, device),
          std::make_unique<profiler::ClockGuard>(backend, device),
          std::make_unique<profiler::MemoryWatch>(backend, device),
          backend == "cuda" ? std::make_unique<profiler::DramTracer>(profiler::make_dram_counter())
                            : nullptr,
          0.0};
}

int64_t planned_steps(const report::ProtocolFields& protocol, int64_t new_tokens) {
  return (protocol.warmups + protocol.runs + 1) * (new_tokens - 1);
}

Result<std::vector<report::RunRecord>> measure_block(const BlockSetup& setup) {
  return BlockRun(setup).measure();
}

report::RunRecord refused_record(const report::RunRecord& base, const Configuration& configuration,
                                 const Error& error) {
  report::RunRecord record = base;
  record.config.kv = configuration.key.kv;
  record.status = status_of(error);
  record.reason = error.message;
  return record;
}

}  // namespace kvtoll::studies
