// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One measured configuration, as it stands in RESULTS/raw: plain data, written and read by
// record_io.h. Every field's meaning and unit is in schema.cc; `kvtoll schema` prints it.
// Example: KVTOLL_TRY(auto record, read_record("raw/m.fp16.n256.r128.cpu.json"));
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/report/record_name.h"

namespace kvtoll::report {

inline constexpr std::string_view kRunSchema = "kvtoll.run/1";

enum class Status : uint8_t { kOk, kOom, kUnsupported, kFailed };
std::string_view status_name(Status status);

// The eight categories and what no kernel covers, in the order of every table.
inline constexpr std::array<std::string_view, 9> kCategories = {
    "attention", "ffn",      "dequantization", "elementwise", "normalization",
    "memory",    "sampling", "other",          "idle"};

struct Geometry {
  std::string family;
  int64_t layers = 0, hidden = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn = 0, vocab = 0;
};

struct ConfigFields {
  std::string model, model_source, kv;
  int64_t new_tokens = 0, residual = kDefaultResidual, batch = 1,
          prompt_tokens = kDefaultPromptTokens;
  std::string path, backend, attention, launch, prefill, weights_dtype, cache_dtype, prompt;
  int64_t threads = 0;
  std::vector<std::string> attention_kernels;
  std::string study;
  Geometry geometry;

  RecordKey key() const { return {model, kv, new_tokens, residual, batch, prompt_tokens, path}; }
};

struct EnvironmentFields {
  std::string device, cpu, gpu, driver, os, kvtoll_version, git_revision, build_type, compiler,
      cuda_compiler, started_utc, clocks;
  int64_t cores = 0, memory_bytes = 0;
  bool git_dirty = false;
  std::vector<std::string> argv;
  std::optional<double> peak_gb_s, measured_gb_s;
};

struct ProtocolFields {
  int64_t warmups = 0, runs = 0;
  std::string order, stop_rule, block;
  std::vector<std::string> block_formats;
  int64_t repeated_runs = 0;
};

struct RunSample {
  int64_t round = 0;     // runs of one round were taken one after the other
  int64_t start_ns = 0;  // CLOCK_MONOTONIC_RAW; comparable within one block only
  int64_t prefill_ns = 0, decode_ns = 0;
  double decode_tok_s = 0.0;
  std::vector<int64_t> step_ns;      // one per decode step
  std::vector<int64_t> flush_steps;  // indices into step_ns
};

struct Distribution {
  double mean = 0.0, sd = 0.0;
  std::array<double, 2> ci95{};
  std::vector<double> samples;
};

struct ThroughputFields {
  Distribution decode_tok_s, prefill_tok_s, ttft_ms;
};

struct FitFields {
  double intercept_ns = 0.0, slope_ns_per_token = 0.0;
  std::array<double, 2> intercept_ci95{}, slope_ci95{};
};

struct StepLatencyFields {
  double mean_ns = 0.0, p50_ns = 0.0, p90_ns = 0.0, p99_ns = 0.0, max_ns = 0.0;
  int64_t append_steps = 0, flush_steps = 0;
  double append_mean_ns = 0.0;
  std::optional<double> flush_mean_ns;  // absent when nothing was flushed
  FitFields fit;                        // all steps
  FitFields fit_append;                 // without the flush steps
};

struct MemoryFields {
  int64_t weights_bytes = 0, kv_payload_bytes = 0, kv_scales_bytes = 0, kv_residual_bytes = 0,
          kv_bytes = 0, workspace_bytes = 0, framework_bytes = 0, peak_bytes = 0;
};

struct EnergyPart {
  bool available = false;
  std::string reason;
  int64_t window_ns = 0, samples = 0;
  double edge_error = 0.0;
  std::optional<double> gross_j_per_token, net_j_per_token, mean_w;
};

struct EnergyFields {
  bool available = false;
  std::string reason, method;
  int64_t window_ns = 0, samples = 0;
  std::optional<double> gross_j_per_token, net_j_per_token, idle_w, mean_w;
  EnergyPart decode, prefill;
};

struct KernelRow {
  std::string name, category, part;
  int64_t calls = 0, time_ns = 0, declared_bytes = 0;
  std::optional<int64_t> measured_dram_bytes;
  double mean_ns = 0.0, p50_ns = 0.0, p99_ns = 0.0, gb_s = 0.0;
};

struct CategoryTime {
  int64_t time_ns = 0;
  double share = 0.0;
};

// A stretch of traced steps; windows of two records at the same context are compared pairwise.
struct TraceWindow {
  std::string at;  // start, middle, end
  int64_t context = 0, steps = 0, window_ns = 0, busy_ns = 0, overlap_ns = 0, launches = 0,
          host_api_ns = 0;
  std::map<std::string, int64_t> category_ns;  // the eight and idle
  int64_t declared_bytes = 0;
};

struct TracingOverhead {
  bool available = false;
  std::string reason;
  double slowdown = 0.0;
  int64_t traced_ns = 0, untraced_ns = 0, steps = 0;
};

// What really crossed the DRAM pins in a few counted steps, beside what was declared.
struct DramFields {
  bool available = false;
  std::string reason;
  int64_t steps = 0, context = 0, read_bytes_per_step = 0, written_bytes_per_step = 0,
          declared_bytes_per_step = 0;
  double ratio = 0.0;
};

struct RunRecord {
  Status status = Status::kOk;
  std::string reason;  // empty when ok
  ConfigFields config;
  EnvironmentFields environment;
  ProtocolFields protocol;
  std::vector<RunSample> runs;
  ThroughputFields throughput;
  StepLatencyFields step_latency;
  MemoryFields memory;
  EnergyFields energy;
  std::vector<KernelRow> kernels;
  std::map<std::string, CategoryTime> categories;
  std::vector<TraceWindow> trace;
  TracingOverhead tracing_overhead;
  DramFields dram;
  std::vector<std::string> warnings;
};

}  // namespace kvtoll::report
