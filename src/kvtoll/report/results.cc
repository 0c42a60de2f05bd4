// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/results.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <tuple>

#include "kvtoll/core/files.h"
#include "kvtoll/report/record_io.h"

namespace kvtoll::report {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kStudySchema = "kvtoll.study/1";

int bits_of(const std::string& kv) {
  const size_t digit = kv.find_first_of("0123456789");
  return digit == kv.npos ? 0 : kv[digit] - '0';
}

bool record_before(const RunRecord& a, const RunRecord& b) {
  const auto key = [](const RunRecord& r) {
    const ConfigFields& c = r.config;
    return std::tie(c.model, c.path, c.batch, c.prompt_tokens, c.new_tokens, c.residual);
  };
  if (key(a) != key(b)) return key(a) < key(b);
  return format_before(a.config.kv, b.config.kv);
}

Result<std::vector<fs::path>> json_files(const fs::path& folder) {
  std::error_code ec;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder, ec))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  if (ec) return input_error("{}: cannot read the folder: {}", folder.string(), ec.message());
  std::ranges::sort(files);
  return files;
}

Result<void> read_folder(const fs::path& folder, ResultSet& set) {
  if (!fs::is_directory(folder))
    return input_error("{}: no such results folder; `kvtoll run` makes one", folder.string());
  const fs::path raw = folder / "raw";
  const bool asked = fs::is_directory(folder / "accuracy");  // a study of questions alone
  if (!asked && !fs::is_directory(raw))
    return input_error("{}: not a results folder: no raw/ in it", folder.string());
  std::vector<fs::path> files;
  if (fs::is_directory(raw)) {
    KVTOLL_TRY(files, json_files(raw));
  }
  if (files.empty() && !asked) return input_error("{}: no records in it yet", raw.string());
  for (const fs::path& file : files) {
    KVTOLL_TRY(set.records.emplace_back(), read_record(file));
    set.files.push_back(file);
  }
  KVTOLL_TRY(const auto manifests, read_manifests(folder));
  for (const StudyManifest& manifest : manifests) {
    set.titles.push_back(manifest.title);
    if (!manifest.reference.empty()) set.references.push_back(manifest.reference);
  }
  return {};
}

void sort_set(ResultSet& set) {
  std::vector<size_t> order(set.records.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(
      order, [&](size_t i, size_t j) { return record_before(set.records[i], set.records[j]); });
  ResultSet sorted{.titles = std::move(set.titles), .references = std::move(set.references)};
  for (const size_t i : order) {
    sorted.records.push_back(std::move(set.records[i]));
    sorted.files.push_back(std::move(set.files[i]));
  }
  set = std::move(sorted);
}

}  // namespace

bool is_baseline(const std::string& kv) { return kv == "fp16" || kv == "bf16" || kv == "fp32"; }

bool format_before(const std::string& a, const std::string& b) {
  const auto rank = [](const std::string& kv) { return is_baseline(kv) ? -100 : -bits_of(kv); };
  return rank(a) != rank(b) ? rank(a) < rank(b) : a < b;
}

Result<ResultSet> read_results(const std::vector<fs::path>& places) {
  ResultSet set;
  for (const fs::path& place : places) {
    if (fs::is_regular_file(place)) {
      KVTOLL_TRY(set.records.emplace_back(), read_record(place));
      set.files.push_back(place);
    } else {
      KVTOLL_TRY_VOID(read_folder(place, set));
    }
  }
  sort_set(set);
  return set;
}

const RunRecord* baseline_of(const ResultSet& set, const RunRecord& record) {
  const RunRecord* best = nullptr;
  int best_score = -1;
  for (const RunRecord& other : set.records) {
    const ConfigFields &a = record.config, &b = other.config;
    if (other.status != Status::kOk || !is_baseline(b.kv) || b.kv == a.kv) continue;
    if (std::tie(a.model, a.path, a.batch, a.prompt_tokens, a.new_tokens) !=
        std::tie(b.model, b.path, b.batch, b.prompt_tokens, b.new_tokens))
      continue;
    const bool same_block =
        !record.protocol.block.empty() && record.protocol.block == other.protocol.block;
    const int score =
        (same_block ? 4 : 0) + (a.residual == b.residual ? 2 : 0) + (b.kv == "fp16" ? 1 : 0);
    if (score > best_score) best = &other, best_score = score;
  }
  return best;
}

fs::path manifest_path(const fs::path& results, const std::string& name) {
  return results / "studies" / (percent_encode(name) + ".json");
}

Result<void> write_manifest(const fs::path& results, const StudyManifest& manifest) {
  const nlohmann::ordered_json json = {
      {"schema", kStudySchema},        {"name", manifest.name},
      {"title", manifest.title},       {"files", manifest.files},
      {"accuracy", manifest.accuracy}, {"reference", manifest.reference}};
  return write_file_atomic(manifest_path(results, manifest.name), json.dump(1) + "\n");
}

Result<std::vector<StudyManifest>> read_manifests(const fs::path& results) {
  std::vector<StudyManifest> manifests;
  const fs::path folder = results / "studies";
  if (!fs::is_directory(folder)) return manifests;
  KVTOLL_TRY(const auto files, json_files(folder));
  for (const fs::path& file : files) {
    KVTOLL_TRY(const std::string text, read_file(file));
    try {
      const auto json = nlohmann::json::parse(text);
      if (json.at("schema") != kStudySchema)
        return input_error("{}: schema {}, this kvtoll reads \"{}\"", file.string(),
                           json.at("schema").dump(), kStudySchema);
      manifests.push_back({json.at("name"), json.at("title"), json.at("files"), json.at("accuracy"),
                           json.at("reference")});
    } catch (const nlohmann::json::exception& error) {
      return input_error("{}: not a study's list of files ({}); delete it and run the study again",
                         file.string(), error.what());
    }
  }
  return manifests;
}

}  // namespace kvtoll::report
