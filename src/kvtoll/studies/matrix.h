// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// From a study to what is measured: configurations, grouped into blocks that differ only in the KV
// format. A block is the unit of work. Example: the core study's 34 logical configurations are 32
// configurations in 12 blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/result.h"
#include "kvtoll/studies/study.h"

namespace kvtoll::studies {

struct PathChoice {
  std::string backend = "cpu";  // cpu or cuda: "auto" is resolved before
  std::vector<std::string> attention = {"materialize"}, launch = {"eager"};  // study's own win
  bool attention_named = false, launch_named = false;  // by the user: evaluations follow only then
};

struct Configuration {
  report::RecordKey key;
  std::string attention, launch;

  std::string file() const { return report::record_file_name(key); }
  std::string label() const;  // the file name without .json
};

struct Block {
  StudyModel model;
  std::vector<Configuration> formats;  // equal but for key.kv

  std::string label() const;  // "scribe n256 r128"
  // Tokens decoded in all its formats, a measure of its time.
  int64_t tokens() const;
};

// In order; a configuration that an earlier block has is not repeated. `logical`, if given,
// receives the number before that.
std::vector<Block> expand(const Study& study, const PathChoice& path, int64_t* logical = nullptr);

// Keeps the configurations whose label matches the shell pattern. Errors: kUsage when none does.
Result<std::vector<Block>> only(std::vector<Block> blocks, const std::string& pattern);

struct Shard {
  int index = 1, count = 1;  // 1-based
};
Result<Shard> parse_shard(std::string_view text);  // "2/4"
// The blocks of one shard; largest blocks are dealt first, so that shards end together. Every block
// is in exactly one shard.
std::vector<Block> take_shard(std::vector<Block> blocks, Shard shard);

}  // namespace kvtoll::studies
