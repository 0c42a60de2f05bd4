// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Decoding with quantized caches against transformers with its own QuantizedCache, in fp32: the
// whole chain of prefill, store, residual, flush and attention (tools/golden_quantized_decode.py).
#include <nlohmann/json.hpp>

#include "kvtoll/engine/step.h"
#include "support/golden_checkpoint.h"

namespace kvtoll {
namespace {

// As exact caches, relative to the largest logit. A key that differs in its last bit may land on
// the other side of a rounding step of the format; kOutliers steps of a case may do so.
constexpr double kBudget = 1e-3;
constexpr int kOutliers = 2;

std::shared_ptr<const SafetensorsFile> golden_file() {
  static const auto file =
      SafetensorsFile::open(std::string(KVTOLL_TEST_DATA) + "/engine/quantized_decode.safetensors")
          .value();
  return file;
}

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& [name, text] : golden_file()->metadata()) names.push_back(name);
  return names;
}

class QuantizedDecode : public testing::TestWithParam<std::string> {};

TEST_P(QuantizedDecode, LogitsAgreeWithTransformers) {
  const auto spec = nlohmann::json::parse(golden_file()->metadata().at(GetParam()));
  const std::string checkpoint = spec["checkpoint"];
  const auto tokens = test::golden_logits(checkpoint);
  const TensorView expected = golden_file()->tensor(GetParam() + ".logits").value();
  BackendOptions options = test::fp32_options();
  options.flush = FlushRule::kRequantizeAll;
  auto backend =
      test::open_backend(test::golden_path(checkpoint), spec["spec"], options, 1, spec["residual"]);
  ASSERT_TRUE(backend) << backend.error().message;
  const SlotTokens prompt[] = {{0, 0, tokens.prompt}};
  ASSERT_TRUE(run_step(**backend, {.slots = prompt, .prefill = true}));
  int outliers = 0;
  for (int64_t step = 0;; ++step) {
    const double error = test::relative_error((*backend)->logits(0), expected, step);
    if (error > kBudget) {
      ++outliers;
      EXPECT_LT(error, 0.1) << "step " << step;
    }
    if (step == spec["steps"].get<int64_t>()) break;
    const SlotTokens next[] = {
        {0, (*backend)->length(0), {&tokens.tokens[static_cast<size_t>(step)], 1}}};
    const auto done = run_step(**backend, {.slots = next});
    ASSERT_TRUE(done) << done.error().message;
  }
  EXPECT_LE(outliers, kOutliers);
}

std::string case_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::ranges::replace(name, '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Cases, QuantizedDecode, testing::ValuesIn(cases()), case_name);

}  // namespace
}  // namespace kvtoll
