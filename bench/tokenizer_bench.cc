// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How fast a model's tokenizer opens, encodes and decodes. The text is the given file, or a mix of
// prose, code, digits and Chinese. Example: tokenizer_bench MODEL [TEXT_FILE] [--benchmark_...]
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include "kvtoll/core/files.h"
#include "kvtoll/model/tokenizer.h"

namespace kvtoll {
namespace {

std::string mixed_text() {
  std::string text;
  while (text.size() < (1u << 20))
    text +=
        "The key of every token is kept, so that the next one need not compute it again. It's 42 "
        "bytes, 1,048,576 at most.\nfor (int i = 0; i < n; ++i) {\n    sum += x[i] * y[i];\n}\n"
        "键值缓存的量化会带来误差。 Caf\u00e9, na\u00efve, \U0001F600!\n\n";
  return text;
}

void open(benchmark::State& state, const std::string& model) {
  for (auto _ : state) benchmark::DoNotOptimize(open_tokenizer(model));
}

void encode(benchmark::State& state, const Tokenizer* tokenizer, const std::string& text) {
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->encode(text));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}

void decode(benchmark::State& state, const Tokenizer* tokenizer, const std::string& text) {
  const auto ids = tokenizer->encode(text);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->decode(ids));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  const auto tokenizer = open_tokenizer(argc > 1 ? argv[1] : "");
  const auto text = argc > 2 ? read_file(argv[2]) : Result<std::string>(mixed_text());
  if (!tokenizer || !text) {
    const Error& error = tokenizer ? text.error() : tokenizer.error();
    fmt::print(stderr, "tokenizer_bench: {}\n", error.message);
    return error.exit_code();
  }
  benchmark::RegisterBenchmark("open", open, argv[1])->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("encode", encode, tokenizer->get(), *text)
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("decode", decode, tokenizer->get(), *text)
      ->Unit(benchmark::kMillisecond);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace kvtoll

int main(int argc, char** argv) { return kvtoll::main(argc, argv); }
