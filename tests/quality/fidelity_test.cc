// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// On the small models that ship with the project.
#include "kvtoll/quality/fidelity.h"

#include <gmock/gmock.h>

#include "kvtoll/core/files.h"
#include "support/temporary_folder.h"

namespace kvtoll {
namespace {

using ::testing::HasSubstr;

FidelityConfig arith(const kvtoll::testing::TemporaryFolder& folder) {
  FidelityConfig config{.model = KVTOLL_SOURCE_DIR "/models/scribe-outlier"};
  config.kv = {"fp16", "int2-quanto"};
  config.backend = "cpu";
  config.options.threads = 1;
  config.residual = 32;
  config.task = "arith";
  config.windows = 1;
  config.greedy_tokens = 40;
  config.results = folder.path();
  return config;
}

// The exact cache against itself diverges nowhere; two bits do.
TEST(Fidelity, TellsAFormatFromTheExactCache) {
  const kvtoll::testing::TemporaryFolder folder;
  const auto results = run_fidelity(arith(folder), {});
  ASSERT_TRUE(results) << results.error().message;
  ASSERT_EQ(results->size(), 2u);
  const FidelityResult &same = (*results)[0], &coarse = (*results)[1];
  EXPECT_EQ(same.all.kl_max, 0.0);
  EXPECT_EQ(same.all.top1_agreement, 1.0);
  EXPECT_EQ(same.all.perplexity_tested, same.all.perplexity_reference);
  EXPECT_GT(coarse.all.kl_mean, 0.01);
  EXPECT_EQ(coarse.all.positions, same.all.positions);
  EXPECT_FALSE(same.greedy[0].second);
  EXPECT_TRUE(coarse.greedy[0].second);
  const std::string text = fidelity_text(*results);
  EXPECT_THAT(text, HasSubstr("greedy text is the same in 1 of 1 windows, up to 40 tokens"));
  EXPECT_THAT(text, HasSubstr("greedy text differs in 1 of 1 windows, there after"));
  const auto written = read_file(coarse.file);
  ASSERT_TRUE(written);
  EXPECT_THAT(*written, HasSubstr("\"schema\": \"kvtoll.fidelity/1\""));
}

// One token behind a prompt: the cache decides it only where the prompt reads the store.
TEST(Fidelity, OneTokenAnswersNeedAQuantizedPrefill) {
  const kvtoll::testing::TemporaryFolder folder;
  FidelityConfig config = arith(folder);
  config.model = KVTOLL_SOURCE_DIR "/models/scribe";
  config.task = "facts";
  config.windows = 3;
  config.greedy_tokens = 0;
  const auto exact = run_fidelity(config, {});
  ASSERT_FALSE(exact);
  EXPECT_EQ(exact.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(exact.error().message, HasSubstr("--prefill quantized"));
  config.options.prefill = Prefill::kQuantized;
  const auto quantized = run_fidelity(config, {});
  ASSERT_TRUE(quantized) << quantized.error().message;
  EXPECT_EQ((*quantized)[1].all.positions, 3);
  EXPECT_EQ((*quantized)[0].all.kl_max, 0.0);
  EXPECT_GT((*quantized)[1].all.kl_mean, 0.01);
}

}  // namespace
}  // namespace kvtoll
