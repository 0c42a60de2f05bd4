// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The one list of a record's JSON names, used in both directions: fields(archive, x) calls
// archive(name, member) for every member. Private to record_io.cc.
#pragma once

#include "kvtoll/report/record.h"

namespace kvtoll::report {

template <class A>
void fields(A& a, Geometry& x) {
  a("family", x.family), a("layers", x.layers), a("hidden", x.hidden), a("heads", x.heads);
  a("kv_heads", x.kv_heads), a("head_dim", x.head_dim), a("ffn", x.ffn), a("vocab", x.vocab);
}

template <class A>
void fields(A& a, ConfigFields& x) {
  a("model", x.model), a("model_source", x.model_source), a("kv", x.kv);
  a("new_tokens", x.new_tokens), a("residual", x.residual), a("batch", x.batch);
  a("prompt_tokens", x.prompt_tokens), a("path", x.path), a("backend", x.backend);
  a("attention", x.attention), a("launch", x.launch), a("prefill", x.prefill);
  a("weights_dtype", x.weights_dtype), a("cache_dtype", x.cache_dtype), a("prompt", x.prompt);
  a("threads", x.threads), a("attention_kernels", x.attention_kernels), a("study", x.study);
  a("geometry", x.geometry);
}

template <class A>
void fields(A& a, EnvironmentFields& x) {
  a("device", x.device), a("cpu", x.cpu), a("cores", x.cores), a("memory_bytes", x.memory_bytes);
  a("gpu", x.gpu), a("driver", x.driver), a("clocks", x.clocks), a("os", x.os);
  a("kvtoll_version", x.kvtoll_version), a("git_revision", x.git_revision);
  a("git_dirty", x.git_dirty), a("build_type", x.build_type), a("compiler", x.compiler);
  a("cuda_compiler", x.cuda_compiler), a("argv", x.argv), a("started_utc", x.started_utc);
  a("peak_gb_s", x.peak_gb_s), a("measured_gb_s", x.measured_gb_s);
}

template <class A>
void fields(A& a, ProtocolFields& x) {
  a("warmups", x.warmups), a("runs", x.runs), a("order", x.order), a("stop_rule", x.stop_rule);
  a("block", x.block), a("block_formats", x.block_formats), a("repeated_runs", x.repeated_runs);
}

template <class A>
void fields(A& a, RunSample& x) {
  a("round", x.round), a("start_ns", x.start_ns), a("prefill_ns", x.prefill_ns);
  a("decode_ns", x.decode_ns), a("decode_tok_s", x.decode_tok_s), a("step_ns", x.step_ns);
  a("flush_steps", x.flush_steps);
}

template <class A>
void fields(A& a, Distribution& x) {
  a("mean", x.mean), a("sd", x.sd), a("ci95", x.ci95), a("samples", x.samples);
}

template <class A>
void fields(A& a, ThroughputFields& x) {
  a("decode_tok_s", x.decode_tok_s), a("prefill_tok_s", x.prefill_tok_s), a("ttft_ms", x.ttft_ms);
}

template <class A>
void fields(A& a, FitFields& x) {
  a("intercept_ns", x.intercept_ns), a("slope_ns_per_token", x.slope_ns_per_token);
  a("intercept_ci95", x.intercept_ci95), a("slope_ci95", x.slope_ci95);
}

template <class A>
void fields(A& a, StepLatencyFields& x) {
  a("mean_ns", x.mean_ns), a("p50_ns", x.p50_ns), a("p90_ns", x.p90_ns), a("p99_ns", x.p99_ns);
  a("max_ns", x.max_ns), a("append_steps", x.append_steps), a("flush_steps", x.flush_steps);
  a("append_mean_ns", x.append_mean_ns), a("flush_mean_ns", x.flush_mean_ns), a("fit", x.fit);
  a("fit_append", x.fit_append);
}

template <class A>
void fields(A& a, MemoryFields& x) {
  a("weights_bytes", x.weights_bytes), a("kv_payload_bytes", x.kv_payload_bytes);
  a("kv_scales_bytes", x.kv_scales_bytes), a("kv_residual_bytes", x.kv_residual_bytes);
  a("kv_bytes", x.kv_bytes), a("workspace_bytes", x.workspace_bytes);
  a("framework_bytes", x.framework_bytes), a("peak_bytes", x.peak_bytes);
}

template <class A>
void fields(A& a, EnergyPart& x) {
  a("available", x.available), a("reason", x.reason), a("window_ns", x.window_ns);
  a("samples", x.samples), a("edge_error", x.edge_error);
  a("gross_j_per_token", x.gross_j_per_token), a("net_j_per_token", x.net_j_per_token);
  a("mean_w", x.mean_w);
}

template <class A>
void fields(A& a, EnergyFields& x) {
  a("available", x.available), a("reason", x.reason), a("method", x.method);
  a("window_ns", x.window_ns), a("samples", x.samples), a("gross_j_per_token", x.gross_j_per_token);
  a("net_j_per_token", x.net_j_per_token), a("idle_w", x.idle_w), a("mean_w", x.mean_w);
  a("decode", x.decode), a("prefill", x.prefill);
}

template <class A>
void fields(A& a, KernelRow& x) {
  a("name", x.name), a("category", x.category), a("part", x.part), a("calls", x.calls);
  a("time_ns", x.time_ns), a("declared_bytes", x.declared_bytes);
  a("measured_dram_bytes", x.measured_dram_bytes), a("mean_ns", x.mean_ns);
  a("p50_ns", x.p50_ns), a("p99_ns", x.p99_ns), a("gb_s", x.gb_s);
}

template <class A>
void fields(A& a, CategoryTime& x) {
  a("time_ns", x.time_ns), a("share", x.share);
}

template <class A>
void fields(A& a, TraceWindow& x) {
  a("at", x.at), a("context", x.context), a("steps", x.steps), a("window_ns", x.window_ns);
  a("busy_ns", x.busy_ns), a("overlap_ns", x.overlap_ns), a("launches", x.launches);
  a("host_api_ns", x.host_api_ns), a("category_ns", x.category_ns);
  a("declared_bytes", x.declared_bytes);
}

template <class A>
void fields(A& a, TracingOverhead& x) {
  a("available", x.available), a("reason", x.reason), a("slowdown", x.slowdown);
  a("traced_ns", x.traced_ns), a("untraced_ns", x.untraced_ns), a("steps", x.steps);
}

template <class A>
void fields(A& a, DramFields& x) {
  a("available", x.available), a("reason", x.reason), a("steps", x.steps);
  a("context", x.context), a("read_bytes_per_step", x.read_bytes_per_step);
  a("written_bytes_per_step", x.written_bytes_per_step);
  a("declared_bytes_per_step", x.declared_bytes_per_step), a("ratio", x.ratio);
}

template <class A>
void fields(A& a, RunRecord& x) {
  a("config", x.config), a("environment", x.environment), a("protocol", x.protocol);
  a("runs", x.runs), a("throughput", x.throughput), a("step_latency", x.step_latency);
  a("memory", x.memory), a("energy", x.energy), a("kernels", x.kernels);
  a("categories", x.categories), a("trace", x.trace), a("tracing_overhead", x.tracing_overhead);
  a("dram", x.dram);
  a("warnings", x.warnings);
}

}  // namespace kvtoll::report
