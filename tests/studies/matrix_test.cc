// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace kvtoll::studies {
namespace {

using ::testing::HasSubstr;

std::vector<Block> core_blocks(int64_t* logical = nullptr) {
  const auto study = load_study("core");
  EXPECT_TRUE(study) << study.error().message;
  return expand(*study, {}, logical);
}

size_t count(const std::vector<Block>& blocks) {
  size_t n = 0;
  for (const Block& block : blocks) n += block.formats.size();
  return n;
}

TEST(Matrix, CoreIs34LogicalConfigurationsIn32Files) {
  int64_t logical = 0;
  const auto blocks = core_blocks(&logical);
  EXPECT_EQ(logical, 34);
  EXPECT_EQ(count(blocks), 32u);
  EXPECT_EQ(blocks.size(), 12u);
  std::set<std::string> files;
  for (const Block& block : blocks)
    for (const Configuration& c : block.formats) files.insert(c.file());
  EXPECT_EQ(files.size(), 32u);
  EXPECT_TRUE(files.contains("qwen2.5-7b.int4-quanto.n1024.r128.cpu.json"));
  EXPECT_TRUE(files.contains("r1-distill-qwen-7b.int8-hqq.n2048.r512.cpu.json"));
}

TEST(Matrix, ABlockDiffersOnlyInTheFormat) {
  for (const Block& block : core_blocks())
    for (const Configuration& c : block.formats) {
      report::RecordKey key = c.key;
      key.kv = block.formats.front().key.kv;
      EXPECT_EQ(key, block.formats.front().key);
    }
}

TEST(Matrix, DemoHasTheCoresShapeAndEveryResidualFlushes) {
  const auto study = load_study("demo");
  ASSERT_TRUE(study) << study.error().message;
  const auto blocks = expand(*study, {});
  EXPECT_EQ(count(blocks), 32u);
  for (const Block& block : blocks)
    EXPECT_GT(block.formats[0].key.new_tokens, block.formats[0].key.residual) << block.label();
}

TEST(Matrix, OnlyKeepsWhatMatches) {
  const auto kept = only(core_blocks(), "*.int4-quanto.n256.*");
  ASSERT_TRUE(kept);
  EXPECT_EQ(count(*kept), 2u);
  const auto none = only(core_blocks(), "nothing*");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(none.error().message, HasSubstr("r1-distill-qwen-7b.fp16.n256"));
}

TEST(Matrix, ShardsAreAPartitionAndBalanced) {
  std::multiset<std::string> labels;
  for (int i = 1; i <= 3; ++i)
    for (const Block& block : take_shard(core_blocks(), {i, 3})) labels.insert(block.label());
  std::multiset<std::string> all;
  for (const Block& block : core_blocks()) all.insert(block.label());
  EXPECT_EQ(labels, all);
  int64_t total = 0, first = 0;
  for (const Block& block : core_blocks()) total += block.tokens();
  for (const Block& block : take_shard(core_blocks(), {1, 3})) first += block.tokens();
  EXPECT_NEAR(static_cast<double>(first), static_cast<double>(total) / 3, 0.1 * total);
  EXPECT_FALSE(parse_shard("0/2"));
  EXPECT_FALSE(parse_shard("3/2"));
  EXPECT_FALSE(parse_shard("1"));
  EXPECT_EQ(parse_shard("2/4")->index, 2);
}

TEST(Matrix, PathsOfCudaAreNamedInTheFile) {
  const auto study = load_study("smoke");
  ASSERT_TRUE(study) << study.error().message;
  const auto blocks = expand(*study, {"cuda", {"materialize", "fused"}, {"eager", "graph"}});
  std::set<std::string> paths;
  for (const Block& block : blocks) paths.insert(block.formats[0].key.path);
  EXPECT_EQ(paths, (std::set<std::string>{"hf", "materialize-graph", "fused-eager", "fused"}));
}

}  // namespace
}  // namespace kvtoll::studies
