// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/synthetic.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "kvtoll/core/rng.h"
#include "kvtoll/core/thread_pool.h"
#include "kvtoll/model/round_to_half.h"

namespace kvtoll {
namespace {

// Below this many elements starting threads costs more than it saves.
constexpr int64_t kParallelElements = 1 << 20;

bool is_norm(WeightRole role) {
  using enum WeightRole;
  return role == kFinalNorm || role == kAttnNorm || role == kFfnNorm || role == kQNorm ||
         role == kKNorm;
}

class SyntheticCheckpoint final : public Checkpoint {
 public:
  SyntheticCheckpoint(const ModelConfig& config, std::string spec, uint64_t seed) : seed_(seed) {
    config_ = config;
    source_ = std::move(spec);
    dtype_ = DType::kF16;
  }

  bool has_weights() const override { return true; }

  // Matrices keep the variance of a normalized input: uniform with variance 1 / in. So does the
  // embedding, whose rows then are small beside what the layers add, and a tied head does not just
  // repeat its input token. Norms spread around 1 and biases around 0, so that a swapped or
  // forgotten one shows.
  std::optional<SyntheticRule> synthetic(WeightRole role, int layer) const override {
    if (role == WeightRole::kLmHead && config_.tied_embeddings) role = WeightRole::kEmbedding;
    const Shape shape = weight_shape(config_, role);
    SyntheticRule rule;
    rule.seed = seed_;
    rule.stream = static_cast<uint64_t>(layer + 1) * 64 + static_cast<uint64_t>(role);
    if (is_norm(role)) {
      rule.offset = 1.0f;
      rule.scale = 0.25f;
    } else {
      rule.scale = shape.rank == 2 ? std::sqrt(3.0f / static_cast<float>(shape[1])) : 0.5f;
    }
    return rule;
  }

  Result<HostTensor> tensor(WeightRole role, int layer, DType) const override {
    const SyntheticRule rule = *synthetic(role, layer);
    const Shape shape = weight_shape(config_, role);
    const int64_t n = shape.elements();
    auto values = std::make_shared<std::vector<uint16_t>>(static_cast<size_t>(n));
    uint16_t* out = values->data();
    const auto fill = [rule, out](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const float x = random_symmetric(rule.seed, rule.stream, static_cast<uint64_t>(i));
        out[i] = fast_half_bits(rule.offset + rule.scale * x);
      }
    };
    if (n < kParallelElements)
      fill(0, n);
    else
      ThreadPool().parallel_for(n, 1024, fill);
    const void* data = values->data();
    return HostTensor{{data, DType::kF16, shape}, std::move(values)};
  }

 private:
  uint64_t seed_;
};

Result<uint64_t> parse_seed(const std::string& spec, std::string_view option) {
  constexpr std::string_view kKey = "seed=";
  if (option.empty()) return 1;
  uint64_t seed = 0;
  const char* end = option.data() + option.size();
  if (option.starts_with(kKey)) {
    const auto [stop, error] = std::from_chars(option.data() + kKey.size(), end, seed);
    if (error == std::errc() && stop == end) return seed;
  }
  return input_error("{}: option \"{}\" is not seed=NUMBER", spec, option);
}

}  // namespace

Result<std::shared_ptr<const Checkpoint>> open_synthetic(const std::string& spec) {
  std::string_view rest = spec;
  if (rest.starts_with("synthetic:")) rest.remove_prefix(10);
  const size_t colon = rest.find(':');
  const std::string_view name = rest.substr(0, colon);
  KVTOLL_TRY(const uint64_t seed,
             parse_seed(spec, colon == rest.npos ? "" : rest.substr(colon + 1)));
  std::vector<std::string_view> known;
  for (const ModelConfig& config : synthetic_geometries()) {
    if (config.name == name) return std::make_shared<SyntheticCheckpoint>(config, spec, seed);
    known.push_back(config.name);
  }
  return input_error("{}: no built-in geometry \"{}\"; there are {}", spec, name,
                     fmt::join(known, ", "));
}

}  // namespace kvtoll
