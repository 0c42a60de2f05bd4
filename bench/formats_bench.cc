// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Encoding and decoding of every format on one CPU core, 4 heads x 128, 1,024 tokens: items per
// second are values per second. Example: formats_bench --benchmark_filter=decode/int8-hqq
#include <benchmark/benchmark.h>

#include "kvtoll/core/half.h"
#include "kvtoll/core/rng.h"
#include "kvtoll/formats/kv_store.h"

namespace kvtoll {
namespace {

constexpr int kHeads = 4, kDim = 128, kTokens = 1024;
constexpr int64_t kValues = int64_t{kHeads} * kDim * kTokens;

std::vector<float> noise() {
  std::vector<float> x(kValues);
  for (int64_t i = 0; i < kValues; ++i)
    x[static_cast<size_t>(i)] = round_to_half(2.0f * random_symmetric(1, 0, i));
  return x;
}

void encode(benchmark::State& state, const std::string& spec) {
  const std::vector<float> x = noise();
  auto store = make_kv_store(*KvFormat::parse(spec), DType::kF16, kHeads, kDim);
  for (auto _ : state) {
    auto stored = store->replace(x, kTokens);
    if (!stored) return state.SkipWithError(stored.error().message.c_str());
  }
  state.SetItemsProcessed(state.iterations() * kValues);
}

void decode(benchmark::State& state, const std::string& spec) {
  const std::vector<float> x = noise();
  auto store = make_kv_store(*KvFormat::parse(spec), DType::kF16, kHeads, kDim);
  if (auto stored = store->replace(x, kTokens); !stored)
    return state.SkipWithError(stored.error().message.c_str());
  std::vector<float> y(kTokens * kDim);
  for (auto _ : state) {
    for (int h = 0; h < kHeads; ++h) store->decode_head(h, y);
    benchmark::DoNotOptimize(y.data());
  }
  state.SetItemsProcessed(state.iterations() * kValues);
}

}  // namespace
}  // namespace kvtoll

int main(int argc, char** argv) {
  std::vector<std::string> specs = {"int8-hqq:axis=1", "int4-hqq:axis=1", "int4-quanto:axis=-1",
                                    "int8-hqq:solver=fp32"};
  for (const kvtoll::KvFormatInfo& info : kvtoll::kv_formats()) specs.push_back(info.name);
  for (const std::string& spec : specs) {
    benchmark::RegisterBenchmark(("encode/" + spec).c_str(), kvtoll::encode, spec)
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(("decode/" + spec).c_str(), kvtoll::decode, spec)
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
