// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/matrix.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <set>

namespace kvtoll::studies {
namespace {

// Every combination of what a block has one of; the innermost loop is the length.
template <class F>
void for_each_block(const MatrixPart& part, const PathChoice& path, F&& visit) {
  const auto& attentions = part.attention.empty() ? path.attention : part.attention;
  const auto& launches = part.launch.empty() ? path.launch : part.launch;
  for (const std::string& attention : attentions)
    for (const std::string& launch : launches)
      for (const int64_t batch : part.batch)
        for (const int64_t prompt : part.prompt_tokens)
          for (const int64_t residual : part.residual)
            for (const int64_t length : part.new_tokens) {
              report::RecordKey key{.new_tokens = length,
                                    .residual = residual,
                                    .batch = batch,
                                    .prompt_tokens = prompt,
                                    .path = report::record_path(path.backend, attention, launch)};
              visit(Configuration{std::move(key), attention, launch});
            }
}

bool parse_number(std::string_view text, int& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string Configuration::label() const {
  std::string name = file();
  name.resize(name.size() - std::string_view(".json").size());
  return name;
}

std::string Block::label() const {
  const report::RecordKey& key = formats.front().key;
  std::string label = fmt::format("{} n{} r{}", key.model, key.new_tokens, key.residual);
  if (key.batch != 1) label += fmt::format(" b{}", key.batch);
  if (key.prompt_tokens != report::kDefaultPromptTokens)
    label += fmt::format(" p{}", key.prompt_tokens);
  return label + " " + key.path;
}

int64_t Block::tokens() const {
  return formats.front().key.new_tokens * static_cast<int64_t>(formats.size());
}

std::vector<Block> expand(const Study& study, const PathChoice& path, int64_t* logical) {
  std::vector<Block> blocks;
  std::set<std::string> seen;
  int64_t count = 0;
  for (const StudyModel& model : study.models)  // outermost: weights are loaded once per model
    for (const MatrixPart& part : study.matrix) {
      if (!concerns(part.models, model)) continue;
      for_each_block(part, path, [&](Configuration base) {
        base.key.model = model.name;
        Block block{model, {}};
        for (const std::string& kv : part.kv) {
          base.key.kv = kv;
          ++count;
          if (seen.insert(base.file()).second) block.formats.push_back(base);
        }
        if (!block.formats.empty()) blocks.push_back(std::move(block));
      });
    }
  if (logical) *logical = count;
  return blocks;
}

Result<std::vector<Block>> only(std::vector<Block> blocks, const std::string& pattern) {
  const std::string example = blocks.empty() ? "" : blocks.front().formats.front().label();
  for (Block& block : blocks)
    std::erase_if(block.formats, [&](const Configuration& c) {
      return ::fnmatch(pattern.c_str(), c.label().c_str(), 0) != 0;
    });
  std::erase_if(blocks, [](const Block& block) { return block.formats.empty(); });
  if (blocks.empty())
    return usage_error("--only {}: no configuration matches; {}--list shows their names", pattern,
                       example.empty() ? "" : fmt::format("they look like {}; ", example));
  return blocks;
}

Result<Shard> parse_shard(std::string_view text) {
  Shard shard;
  const size_t slash = text.find('/');
  if (slash == text.npos || !parse_number(text.substr(0, slash), shard.index) ||
      !parse_number(text.substr(slash + 1), shard.count) || shard.count < 1 || shard.index < 1 ||
      shard.index > shard.count)
    return usage_error("--shard {}: write I/N with 1 <= I <= N, as in 2/4", text);
  return shard;
}

std::vector<Block> take_shard(std::vector<Block> blocks, Shard shard) {
  std::vector<size_t> by_size(blocks.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::ranges::stable_sort(by_size, std::greater{}, [&](size_t i) { return blocks[i].tokens(); });
  std::vector<int64_t> load(static_cast<size_t>(shard.count), 0);
  std::vector<char> mine(blocks.size(), 0);
  for (const size_t i : by_size) {
    const auto lightest = std::ranges::min_element(load);
    *lightest += blocks[i].tokens();
    mine[i] = lightest - load.begin() == shard.index - 1;
  }
  std::vector<Block> taken;
  for (size_t i = 0; i < blocks.size(); ++i)
    if (mine[i]) taken.push_back(std::move(blocks[i]));
  return taken;
}

}  // namespace kvtoll::studies
