// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Logits of small random checkpoints against transformers, in fp32: prefill and 64 decode steps.
#include "kvtoll/engine/step.h"

#include "support/golden_checkpoint.h"

namespace kvtoll {
namespace {

constexpr double kBudget = 1e-3;  // largest difference over largest logit

class GoldenLogits : public testing::TestWithParam<std::string> {};

TEST_P(GoldenLogits, PrefillAndDecodeAgreeAndGreedyTokensAreEqual) {
  const auto golden = test::golden_logits(GetParam());
  auto backend = test::open_backend(test::golden_path(GetParam()), "fp32", test::fp32_options());
  ASSERT_TRUE(backend) << backend.error().message;
  const SlotTokens prompt[] = {{0, 0, golden.prompt}};
  ASSERT_TRUE(run_step(**backend, {.slots = prompt, .prefill = true, .all_logits = true}));
  for (size_t i = 0; i < golden.prompt.size(); ++i)
    EXPECT_LE(test::relative_error((*backend)->logits(static_cast<int>(i)), golden.prefill,
                                   static_cast<int64_t>(i)),
              kBudget)
        << "prompt token " << i;
  for (size_t step = 0; step < golden.tokens.size(); ++step) {
    ASSERT_EQ((*backend)->next_tokens()[0], golden.tokens[step]) << "step " << step;
    const SlotTokens own[] = {{0, (*backend)->length(0), {}}};  // feeds its own argmax
    ASSERT_TRUE(run_step(**backend, {.slots = own}));
    EXPECT_LE(
        test::relative_error((*backend)->logits(0), golden.decode, static_cast<int64_t>(step)),
        kBudget)
        << "step " << step;
  }
}

// Without all_logits, the last token's row comes out alone and is the same.
TEST_P(GoldenLogits, LastRowAlone) {
  const auto golden = test::golden_logits(GetParam());
  auto backend = test::open_backend(test::golden_path(GetParam()), "fp32", test::fp32_options(1));
  ASSERT_TRUE(backend) << backend.error().message;
  const SlotTokens prompt[] = {{0, 0, golden.prompt}};
  ASSERT_TRUE(run_step(**backend, {.slots = prompt, .prefill = true}));
  EXPECT_LE(test::relative_error((*backend)->logits(0), golden.prefill,
                                 static_cast<int64_t>(golden.prompt.size()) - 1),
            kBudget);
}

std::string case_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::ranges::replace_if(
      name, [](char c) { return !std::isalnum(c); }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Checkpoints, GoldenLogits, testing::ValuesIn(test::golden_checkpoints()),
                         case_name);

}  // namespace
}  // namespace kvtoll
