// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A made-up record with every field set to something that is not its default; for tests of readers,
// writers, summaries and comparisons. No number in it was measured.
#pragma once

#include <string>

#include "kvtoll/report/record.h"

namespace kvtoll::testing {

inline report::RunRecord sample_record(const std::string& kv = "int4-quanto",
                                       double tok_s = 100.0) {
  report::RunRecord r;
  r.config = {.model = "tiny",
              .model_source = "synthetic:tiny",
              .kv = kv,
              .new_tokens = 5,
              .path = "cpu",
              .backend = "cpu",
              .attention = "materialize",
              .launch = "eager",
              .prefill = "exact",
              .weights_dtype = "fp16",
              .cache_dtype = "fp16",
              .prompt = "seeded",
              .threads = 2,
              .attention_kernels = {"attend"},
              .study = "test",
              .geometry = {"llama", 2, 64, 4, 2, 16, 128, 256}};
  r.environment = {.device = "test CPU",
                   .cpu = "test CPU",
                   .os = "Linux",
                   .kvtoll_version = "0",
                   .git_revision = "abc",
                   .build_type = "Release",
                   .compiler = "c++",
                   .started_utc = "2020-01-01T00:00:00Z",
                   .clocks = "unknown",
                   .cores = 2,
                   .memory_bytes = 1 << 30,
                   .git_dirty = true,
                   .argv = {"kvtoll", "run"},
                   .measured_gb_s = 12.5};
  r.protocol = {2, 3, "interleaved", "3 runs", "block-1", {"fp16", "int4-quanto"}, 0};
  for (int i = 0; i < 3; ++i) {
    const double speed = tok_s * (1.0 + 0.01 * (i - 1));
    r.runs.push_back(
        {i, 1000 * i, 500, static_cast<int64_t>(4e9 / speed), speed, {10, 11, 30, 12}, {2}});
    r.throughput.decode_tok_s.samples.push_back(speed);
  }
  r.throughput.decode_tok_s.mean = tok_s;
  r.throughput.decode_tok_s.sd = 0.01 * tok_s;
  r.throughput.decode_tok_s.ci95 = {0.975 * tok_s, 1.025 * tok_s};
  r.throughput.prefill_tok_s = {1000, 1, {999, 1001}, {1000, 1000, 1000}};
  r.throughput.ttft_ms = {2, 0.1, {1.9, 2.1}, {2, 2, 2}};
  r.step_latency = {15,
                    11,
                    30,
                    30,
                    30,
                    9,
                    3,
                    11,
                    30.0,
                    {10, 0.5, {9, 11}, {0.4, 0.6}},
                    {10, 0.4, {9, 11}, {0.3, 0.5}}};
  r.memory = {100, 20, 5, 10, 35, 7, 3, 150};
  r.energy = {false, "no counter", "", 0, 0, {}, {}, {}, {}, {}, {}};
  r.kernels = {{"gemv_kernel", "attention", "attention.projection", 4, 400, 4000, {}},
               {"dequant_kernel", "dequantization", "", 4, 100, 1000, 1100}};
  for (const auto name : report::kCategories) r.categories[std::string(name)] = {100, 1.0 / 9};
  r.trace = {{"start", 128, 2, 500, 450, 0, 9, 0, {{"attention", 350}, {"idle", 50}}, 300},
             {"end", 130, 2, 520, 460, 0, 9, 0, {{"attention", 360}, {"idle", 60}}, 320}};
  r.tracing_overhead = {true, "", 0.01, 101, 100, 4};
  r.warnings = {"one warning"};
  return r;
}

}  // namespace kvtoll::testing
