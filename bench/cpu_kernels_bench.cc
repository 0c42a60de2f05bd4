// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The CPU kernels one by one: matrix-vector products, attention over an exact cache,
// dequantization. Each reports the bytes that it declares per second. Arguments stand in the names.
// Example:
//   cpu_kernels_bench --benchmark_filter=gemv
#include <benchmark/benchmark.h>

#include "kvtoll/backends/cpu/attention_jobs.h"
#include "kvtoll/backends/cpu/bytes.h"
#include "kvtoll/backends/cpu/kernels.h"
#include "kvtoll/core/half.h"
#include "kvtoll/core/rng.h"
#include "kvtoll/formats/kv_store.h"

namespace kvtoll::cpu {
namespace {

void fill(Buffer& buffer, int64_t n, DType dtype) {
  std::vector<float> x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = random_symmetric(1, 1, i);
  buffer.resize(n * dtype_size(dtype));
  narrow(x.data(), n, dtype, buffer.as<std::byte>());
}

void report(benchmark::State& state, Bytes bytes) {
  state.SetBytesProcessed(state.iterations() * bytes.value);
}

// rows x in fp16 weights, `tokens` tokens, threads. The weights rotate through at least 128 MiB, so
// that they come from memory as in a decode step.
void gemv(benchmark::State& state) {
  const int64_t rows = state.range(0), in = state.range(1), tokens = state.range(2);
  ThreadPool pool(static_cast<int>(state.range(3)));
  const int64_t bytes = rows * in * 2, copies = std::max<int64_t>(1, (int64_t{128} << 20) / bytes);
  Buffer w, x, y;
  fill(w, copies * rows * in, DType::kF16);
  fill(x, tokens * in, DType::kF32);
  y.resize(tokens * rows * kActivation);
  int64_t copy = 0;
  for (auto _ : state) {
    const Matmul m{.w = w.as<std::byte>() + (copy++ % copies) * bytes,
                   .in = in,
                   .x = x.as<float>(),
                   .tokens = tokens,
                   .y = y.as<float>(),
                   .y_stride = rows};
    pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) { matmul_rows(m, begin, end); });
  }
  report(state, matmul_bytes(Bytes(bytes), rows, in, tokens, false));
}
BENCHMARK(gemv)
    ->ArgNames({"rows", "in", "tokens", "threads"})
    ->Args({960, 576, 1, 1})
    ->Args({3072, 576, 1, 1})
    ->Args({576, 1536, 1, 1})
    ->Args({49152, 576, 1, 1})
    ->Args({3072, 576, 1, 2})
    ->Args({49152, 576, 1, 2})
    ->Args({3072, 576, 8, 2})
    ->Args({3072, 576, 128, 2})
    ->UseRealTime();

// One layer's decode attention over `tokens` cached positions, SmolLM2's heads.
void attention(benchmark::State& state) {
  const AttentionShape shape{9, 3, 64};
  const int64_t tokens = state.range(0), width = 3 * 64;
  ThreadPool pool(static_cast<int>(state.range(1)));
  Buffer k, v, q, out;
  fill(k, tokens * width, DType::kF16);
  fill(v, tokens * width, DType::kF16);
  fill(q, 9 * 64, DType::kF32);
  out.resize(9 * 64 * kActivation);
  const KvSegment ks{k.as<std::byte>(), DType::kF16, tokens, tokens * 64, 64};
  const KvSegment vs{v.as<std::byte>(), DType::kF16, tokens, tokens * 64, 64};
  const std::vector<AttentionJob> jobs = {{q.as<float>(), out.as<float>(), 1, {{ks, vs}}}};
  AttentionSpace space;
  for (auto _ : state) attend_jobs(shape, jobs, pool, space);
  report(state, attention_bytes(shape, jobs));
}
BENCHMARK(attention)
    ->ArgNames({"tokens", "threads"})
    ->Args({128, 1})
    ->Args({2048, 1})
    ->Args({2048, 2})
    ->Args({16384, 2})
    ->UseRealTime();

// One head-sized store read back.
void dequantize(benchmark::State& state, const char* format) {
  const int64_t tokens = state.range(0);
  const auto store = make_kv_store(KvPolicy::parse(format).value().base().key, DType::kF16, 3, 64);
  std::vector<float> x(static_cast<size_t>(3 * tokens * 64));
  for (size_t i = 0; i < x.size(); ++i) x[i] = round_to_half(random_symmetric(1, 1, i));
  if (!store->replace(x, static_cast<int>(tokens))) return state.SkipWithError("refused");
  for (auto _ : state)
    for (int h = 0; h < 3; ++h)
      store->decode_head(h, {x.data() + h * tokens * 64, static_cast<size_t>(tokens * 64)});
  report(state, dequantize_bytes(store->payload_bytes() + store->scale_bytes(), tokens, 3 * 64));
}
BENCHMARK_CAPTURE(dequantize, int4_quanto, "int4-quanto")->Arg(2048);
BENCHMARK_CAPTURE(dequantize, int8_hqq, "int8-hqq")->Arg(2048);
BENCHMARK_CAPTURE(dequantize, int8_hqq_axis1, "int8-hqq:axis=1")->Arg(2048);

}  // namespace
}  // namespace kvtoll::cpu

BENCHMARK_MAIN();
