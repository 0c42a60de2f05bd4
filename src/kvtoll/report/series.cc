// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/series.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace kvtoll::report {
namespace {

using Group = std::tuple<std::string, std::string, int64_t, int64_t>;  // model, path, batch, prompt

std::string title_of(const ConfigFields& c) {
  std::string title = c.model + ", " + c.path;
  if (c.batch != 1) title += fmt::format(", batch {}", c.batch);
  if (c.prompt_tokens != kDefaultPromptTokens) title += fmt::format(", prompt {}", c.prompt_tokens);
  return title;
}

// The residual length that most of the records have; of equals the smallest.
int64_t main_residual(const std::vector<const RunRecord*>& records) {
  std::map<int64_t, int> count;
  for (const RunRecord* r : records) ++count[r->config.residual];
  return std::ranges::max_element(count, {}, [](const auto& entry) { return entry.second; })->first;
}

Series make_one(const std::vector<const RunRecord*>& records) {
  Series series;
  const ConfigFields& first = records.front()->config;
  series.title = title_of(first);
  series.slug = percent_encode(first.model) + "-" + first.path;
  if (first.batch != 1) series.slug += fmt::format("-b{}", first.batch);
  if (first.prompt_tokens != kDefaultPromptTokens)
    series.slug += fmt::format("-p{}", first.prompt_tokens);
  std::ranges::replace(series.slug, '%', '_');
  series.residual = main_residual(records);
  std::set<int64_t> lengths;
  for (const RunRecord* r : records)
    if (r->config.residual == series.residual) {
      series.records.push_back(r);
      lengths.insert(r->config.new_tokens);
      if (std::ranges::find(series.formats, r->config.kv) == series.formats.end())
        series.formats.push_back(r->config.kv);
    }
  series.lengths.assign(lengths.begin(), lengths.end());
  std::ranges::sort(series.formats, format_before);
  std::set<int64_t> residuals;
  for (const RunRecord* r : records)
    if (r->config.new_tokens == series.lengths.back()) {
      series.sweep.push_back(r);
      residuals.insert(r->config.residual);
    }
  if (residuals.size() < 2) series.sweep.clear();
  return series;
}

}  // namespace

const RunRecord* Series::at(const std::string& kv, int64_t new_tokens) const {
  for (const RunRecord* r : records)
    if (r->config.kv == kv && r->config.new_tokens == new_tokens) return r;
  return nullptr;
}

const RunRecord* Series::swept(const std::string& kv, int64_t wanted) const {
  for (const RunRecord* r : sweep)
    if (r->config.kv == kv && r->config.residual == wanted) return r;
  return nullptr;
}

std::vector<int64_t> Series::residuals() const {
  std::set<int64_t> all;
  for (const RunRecord* r : sweep) all.insert(r->config.residual);
  return {all.begin(), all.end()};
}

const RunRecord* Series::baseline(int64_t new_tokens) const {
  for (const std::string& kv : formats)
    if (is_baseline(kv))
      if (const RunRecord* r = at(kv, new_tokens)) return r;
  return nullptr;
}

std::vector<Series> make_series(const ResultSet& set) {
  std::map<Group, std::vector<const RunRecord*>> groups;
  for (const RunRecord& r : set.records)
    if (r.status == Status::kOk) {
      const ConfigFields& c = r.config;
      groups[{c.model, c.path, c.batch, c.prompt_tokens}].push_back(&r);
    }
  std::vector<Series> all;
  for (const auto& [group, records] : groups) all.push_back(make_one(records));
  return all;
}

}  // namespace kvtoll::report
