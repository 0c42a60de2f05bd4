// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Loading: decoding GGUF blocks (bytes of fp32 made per second, one thread) and synthetic weights.
#include <benchmark/benchmark.h>

#include <vector>

#include "kvtoll/core/rng.h"
#include "kvtoll/model/checkpoint.h"
#include "kvtoll/model/gguf_quant.h"

namespace kvtoll {
namespace {

void decode(benchmark::State& state) {
  const GgufType& type = *find_gguf_type(static_cast<uint32_t>(state.range(0)));
  std::vector<float> values(1 << 18);
  std::vector<std::byte> blocks(values.size() / static_cast<size_t>(type.block) *
                                static_cast<size_t>(type.block_bytes));
  Rng rng(1);
  for (std::byte& b : blocks) b = static_cast<std::byte>(rng.below(0x3c));  // no NaN scales
  for (auto _ : state) {
    decode_gguf(type, blocks, values);
    benchmark::DoNotOptimize(values.data());
  }
  state.SetLabel(std::string(type.name));
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(values.size()));
}
BENCHMARK(decode)->Arg(1)->Arg(2)->Arg(3)->Arg(8)->Arg(12)->Arg(13)->Arg(14)->Arg(30);

void synthetic_matrix(benchmark::State& state) {
  const auto checkpoint = open_checkpoint("synthetic:qwen2.5-0.5b").value();
  int64_t elements = 0;
  for (auto _ : state) {
    const HostTensor t = checkpoint->tensor(WeightRole::kGate, 0).value();
    benchmark::DoNotOptimize(t.view.data);
    elements += t.view.shape.elements();
  }
  state.SetItemsProcessed(elements);
}
BENCHMARK(synthetic_matrix)->UseRealTime();

}  // namespace
}  // namespace kvtoll

BENCHMARK_MAIN();
