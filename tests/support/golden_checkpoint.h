// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The small random checkpoints of tests/data/checkpoints and what transformers computed with them
// (tools/make_checkpoints.py). Example: for (auto& name : golden_checkpoints()) ...
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "kvtoll/backends/backend.h"
#include "kvtoll/core/safetensors.h"
#include "kvtoll/model/checkpoint.h"

namespace kvtoll::test {

inline std::filesystem::path checkpoint_folder() {
  return std::filesystem::path(KVTOLL_TEST_DATA) / "checkpoints";
}

// Names of all cases that have logits: folders and .gguf files with a NAME.golden.safetensors.
inline std::vector<std::string> golden_checkpoints() {
  std::vector<std::string> names;
  const std::string suffix = ".golden.safetensors";
  for (const auto& entry : std::filesystem::directory_iterator(checkpoint_folder())) {
    const std::string file = entry.path().filename().string();
    if (file.ends_with(suffix) && file != "rope" + suffix)
      names.push_back(file.substr(0, file.size() - suffix.size()));
  }
  std::ranges::sort(names);
  return names;
}

struct GoldenLogits {
  std::shared_ptr<const SafetensorsFile> file;
  std::vector<int32_t> prompt, tokens;
  TensorView prefill, decode;  // fp32 [P, vocab], [N, vocab]
};

inline std::vector<int32_t> ids_of(const TensorView& view) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < view.shape.elements(); ++i)
    ids.push_back(static_cast<int32_t>(view.at(i)));
  return ids;
}

inline GoldenLogits golden_logits(const std::string& name) {
  GoldenLogits golden;
  golden.file = SafetensorsFile::open(checkpoint_folder() / (name + ".golden.safetensors")).value();
  golden.prompt = ids_of(golden.file->tensor("prompt").value());
  golden.tokens = ids_of(golden.file->tensor("tokens").value());
  golden.prefill = golden.file->tensor("prefill").value();
  golden.decode = golden.file->tensor("decode").value();
  return golden;
}

inline std::string golden_path(const std::string& name) {
  const auto folder = checkpoint_folder() / name;
  return std::filesystem::exists(folder) ? folder.string() : folder.string() + ".gguf";
}

// A backend for a golden checkpoint with `kv` reserved for `slots` sequences.
inline Result<std::unique_ptr<Backend>> open_backend(const std::string& path, const std::string& kv,
                                                     const BackendOptions& options, int slots = 1,
                                                     int residual = 128,
                                                     const std::string& backend = "cpu") {
  KVTOLL_TRY(auto checkpoint, open_checkpoint(path));
  KVTOLL_TRY(const KvPolicy policy, KvPolicy::parse(kv));
  CacheRequest request{.residual_length = residual, .slots = slots};
  request.max_tokens = 192;
  request.max_prompt = 64;
  KVTOLL_TRY(request.layers, policy.resolve(checkpoint->config().layers));
  KVTOLL_TRY(auto made, make_backend(backend, checkpoint, options));
  KVTOLL_TRY_VOID(made->reserve(request));
  return made;
}

inline BackendOptions fp32_options(int threads = 2) {
  return {.weights = DType::kF32, .cache = DType::kF32, .threads = threads};
}

// Largest difference over the largest magnitude of `expected`'s row.
inline double relative_error(std::span<const float> got, const TensorView& expected, int64_t row) {
  const int64_t vocab = expected.shape[1];
  EXPECT_EQ(static_cast<int64_t>(got.size()), vocab);
  double worst = 0.0, largest = 0.0;
  for (int64_t i = 0; i < vocab; ++i) {
    const double e = expected.at(row * vocab + i);
    worst = std::max(worst, std::abs(e - got[static_cast<size_t>(i)]));
    largest = std::max(largest, std::abs(e));
  }
  return std::isfinite(worst) && largest > 0.0 ? worst / largest : 1e9;
}

}  // namespace kvtoll::test
