// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/runner.h"

#include <fmt/format.h>

#include <map>

#include "kvtoll/core/shipped.h"
#include "kvtoll/model/checkpoint.h"
#include "kvtoll/profiler/read_rate.h"
#include "kvtoll/report/record_io.h"
#include "kvtoll/report/results.h"
#include "kvtoll/studies/block.h"
#include "kvtoll/studies/environment.h"
#include "kvtoll/studies/prompt.h"
#include "kvtoll/studies/record_parts.h"
#include "kvtoll/studies/resume.h"

namespace kvtoll::studies {
namespace {

namespace fs = std::filesystem;

std::string outcome_text(const report::RunRecord& record) {
  if (record.status != report::Status::kOk)
    return fmt::format("{}: {}", report::status_name(record.status), record.reason);
  const report::Distribution& speed = record.throughput.decode_tok_s;
  return fmt::format("ok, {:.1f} tok/s (sd {:.1f})", speed.mean, speed.sd);
}

class StudyRun {
 public:
  StudyRun(const Study& study, const RunOptions& options)
      : study_(study),
        options_(options),
        raw_(options.results / "raw"),
        instruments_(make_instruments(options.backend, options.engine.device)),
        environment_(host_environment(options.backend, options.argv)) {}

  Result<RunOutcome> run(const std::vector<Block>& blocks) {
    std::error_code ec;
    fs::create_directories(raw_, ec);
    if (ec)
      return machine_error("{}: cannot make the folder: {}; choose another --results",
                           raw_.string(), ec.message());
    remove_stale_temporaries(raw_);
    Remaining remaining{blocks, 0};
    if (!options_.force) {
      KVTOLL_TRY(remaining, remaining_blocks(blocks, raw_, [this](const Block& block) {
                   return base_record(block, nullptr);
                 }));
    }
    outcome_.skipped = remaining.skipped;
    if (remaining.blocks.empty()) return outcome_;
    if (options_.measure_bandwidth) {
      const auto rate = profiler::measure_read_gb_s(options_.backend, options_.engine.device,
                                                    options_.engine.threads);
      if (rate) environment_.measured_gb_s = *rate;
    }
    KVTOLL_TRY_VOID(measure(remaining.blocks));
    return outcome_;
  }

 private:
  Result<void> measure(const std::vector<Block>& blocks) {
    int64_t configurations = 0, steps = 0;
    for (const Block& block : blocks) {
      configurations += static_cast<int64_t>(block.formats.size());
      steps += steps_of(block);
    }
    Progress progress(configurations, steps, Progress::style_for(options_.quiet));
    for (const Block& block : blocks) {
      if (options_.interrupted && options_.interrupted()) outcome_.left = configurations;
      if (outcome_.left > 0) break;
      auto records = measure_one(block, progress);
      if (!records && records.error().kind == ErrorKind::kInterrupted)
        outcome_.left = configurations;
      if (outcome_.left > 0) break;
      if (!records) return tl::unexpected<Error>(records.error());
      for (const report::RunRecord& record : *records) KVTOLL_TRY_VOID(keep(record, progress));
      configurations -= static_cast<int64_t>(block.formats.size());
    }
    return {};
  }

  int64_t steps_of(const Block& block) const {
    const report::ProtocolFields protocol{.warmups = study_.warmups, .runs = study_.runs};
    return planned_steps(protocol, block.formats.front().key.new_tokens) *
           static_cast<int64_t>(block.formats.size());
  }

  // Errors: kInterrupted, and kInput for a model that cannot be read.
  Result<std::vector<report::RunRecord>> measure_one(const Block& block, Progress& progress) {
    auto backend = backend_for(block, progress);
    if (!backend && backend.error().kind == ErrorKind::kOutOfMemory) {
      progress.skip_steps(steps_of(block));
      std::vector<report::RunRecord> refused;
      for (const Configuration& configuration : block.formats)
        refused.push_back(
            refused_record(base_record(block, nullptr), configuration, backend.error()));
      return refused;
    }
    if (!backend) return tl::unexpected<Error>(backend.error());
    const report::RecordKey& key = block.formats.front().key;
    const Prompt prompt =
        fixed_prompt(find_model(block.model.source), (*backend)->config().vocab, key.prompt_tokens);
    report::RunRecord base = base_record(block, *backend);
    base.config.prompt = prompt.kind;
    if (!prompt.warning.empty()) base.warnings.push_back(prompt.warning);
    for (const profiler::Warning& unfit : instruments_.guard->preflight())
      base.warnings.push_back(warning_text(unfit));
    return measure_block(
        {block, base, **backend, prompt.tokens, instruments_, progress, options_.interrupted,
         options_.keep_traces ? options_.results / "traces" : std::filesystem::path(),
         options_.prefill_energy});
  }

  // The backend of the last block is kept while model and path stay the same.
  Result<Backend*> backend_for(const Block& block, Progress& progress) {
    const Configuration& first = block.formats.front();
    const std::string key = block.model.source + '\n' + first.attention + '\n' + first.launch;
    if (key == backend_key_) return backend_.get();
    backend_.reset();  // two sets of weights may not fit
    backend_key_.clear();
    progress.note(fmt::format("loading {} ({})", block.model.name, block.model.source));
    BackendOptions engine = options_.engine;
    engine.attention = attention_of(first.attention);
    engine.launch = launch_of(first.launch);
    KVTOLL_TRY(backend_, options_.make_backend(block.model, options_.backend, engine));
    backend_key_ = key;
    return backend_.get();
  }

  report::RunRecord base_record(const Block& block, const Backend* backend) const {
    const Configuration& first = block.formats.front();
    report::RunRecord record;
    report::ConfigFields& c = record.config;
    c.model = first.key.model;
    c.model_source = block.model.source;
    c.new_tokens = first.key.new_tokens;
    c.residual = first.key.residual;
    c.batch = first.key.batch;
    c.prompt_tokens = first.key.prompt_tokens;
    c.path = first.key.path;
    c.backend = options_.backend;
    c.attention = first.attention;
    c.launch = first.launch;
    c.prefill = prefill_name(options_.engine.prefill);
    c.weights_dtype = dtype_name(options_.engine.weights);
    c.cache_dtype = dtype_name(options_.engine.cache);
    c.threads = options_.engine.threads;
    c.study = study_.name;
    record.environment = environment_;
    record.environment.started_utc = utc_now();
    report::ProtocolFields& p = record.protocol;
    p.warmups = study_.warmups;
    p.runs = study_.runs;
    p.order = order_name(study_.order);
    p.stop_rule = "fixed number of runs and tokens";
    p.block = fmt::format("{} {}", block.label(), now().value);
    for (const Configuration& configuration : block.formats)
      p.block_formats.push_back(configuration.key.kv);
    if (backend) add_backend(record, *backend);
    return record;
  }

  static void add_backend(report::RunRecord& record, const Backend& backend) {
    const BackendInfo info = backend.info();
    record.environment.device = info.device;
    if (info.peak_gb_s > 0) record.environment.peak_gb_s = info.peak_gb_s;
    const ModelConfig& m = backend.config();
    record.config.geometry = {std::string(family_name(m.family)),
                              m.layers,
                              m.hidden,
                              m.heads,
                              m.kv_heads,
                              m.head_dim,
                              m.ffn,
                              m.vocab};
  }

  Result<void> keep(const report::RunRecord& record, Progress& progress) {
    KVTOLL_TRY(const fs::path path, report::write_record(raw_, record));
    ++outcome_.measured;
    const std::string label = path.stem().string();
    switch (record.status) {
      case report::Status::kOk:
        ++outcome_.ok;
        break;
      case report::Status::kOom:
        ++outcome_.oom;
        break;
      case report::Status::kUnsupported:
        ++outcome_.unsupported;
        break;
      case report::Status::kFailed:
        ++outcome_.failed;
        outcome_.failures.push_back(fmt::format("{}: {}", label, record.reason));
        break;
    }
    progress.finish(label, outcome_text(record));
    return {};
  }

  const Study& study_;
  const RunOptions& options_;
  fs::path raw_;
  Instruments instruments_;
  report::EnvironmentFields environment_;
  std::unique_ptr<Backend> backend_;
  std::string backend_key_;
  RunOutcome outcome_;
};

}  // namespace

std::string find_model(const std::string& source) {
  return source.starts_with("synthetic:") ? source : find_shipped(source);
}

Result<std::unique_ptr<Backend>> load_backend(const StudyModel& model, const std::string& backend,
                                              const BackendOptions& options) {
  KVTOLL_TRY(const auto checkpoint, open_checkpoint(find_model(model.source)));
  KVTOLL_TRY_VOID(require_weights(*checkpoint));
  return kvtoll::make_backend(backend, checkpoint, options);
}

Result<void> write_study_manifest(const Study& study, const std::vector<Block>& blocks,
                                  const std::vector<std::string>& accuracy,
                                  const fs::path& results) {
  report::StudyManifest manifest{study.name, study.title, {}, accuracy, study.reference};
  for (const Block& block : blocks)
    for (const Configuration& configuration : block.formats)
      manifest.files.push_back(configuration.file());
  return report::write_manifest(results, manifest);
}

Result<RunOutcome> run_blocks(const Study& study, const std::vector<Block>& blocks,
                              const RunOptions& options) {
  return StudyRun(study, options).run(blocks);
}

}  // namespace kvtoll::studies
