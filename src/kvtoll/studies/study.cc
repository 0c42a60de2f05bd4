// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/study.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "kvtoll/core/files.h"
#include "kvtoll/core/nearest.h"
#include "kvtoll/formats/kv_format.h"

namespace kvtoll::studies {
namespace {

// Inside a specification a comma is followed by key=value or by another layer range.
bool continues_spec(std::string_view piece) {
  if (piece.empty()) return false;
  const unsigned char first = piece.front();
  if (std::isdigit(first) || first == '-') return true;
  size_t i = 0;
  while (i < piece.size() &&
         (std::isalnum(static_cast<unsigned char>(piece[i])) || piece[i] == '_'))
    ++i;
  return i > 0 && i < piece.size() && piece[i] == '=';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())))
    text.remove_prefix(1);
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())))
    text.remove_suffix(1);
  return text;
}

// "models/scribe/" -> "scribe", "x.gguf" -> "x", "synthetic:tiny:seed=2" -> "tiny".
std::string name_of_source(std::string_view source) {
  if (source.starts_with("synthetic:")) {
    source.remove_prefix(10);
    return std::string(source.substr(0, source.find(':')));
  }
  while (source.ends_with('/')) source.remove_suffix(1);
  const std::filesystem::path path(source);
  return path.extension() == ".gguf" ? path.stem().string() : path.filename().string();
}

// NAME=SOURCE or SOURCE, which then gives the name.
Result<std::vector<StudyModel>> models_of(const std::vector<std::string>& options) {
  std::vector<StudyModel> models;
  for (const std::string& option : options) {
    const size_t equals = option.find('=');
    // A '=' behind a ':' or '/' belongs to the source ("synthetic:tiny:seed=2").
    const bool named = equals != option.npos && option.find_first_of(":/") > equals;
    StudyModel model;
    model.source = named ? option.substr(equals + 1) : option;
    model.name = named ? option.substr(0, equals) : name_of_source(option);
    if (model.name.empty() || model.source.empty())
      return usage_error("--model {}: write NAME=PATH", option);
    if (std::ranges::count(models, model.name, &StudyModel::name) > 0)
      return usage_error("--model: two models are named \"{}\"; write NAME=PATH", model.name);
    models.push_back(std::move(model));
  }
  return models;
}

}  // namespace

std::vector<std::string> split_kv_list(std::string_view list) {
  std::vector<std::string> specs;
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view piece = trimmed(list.substr(0, comma));
    if (!specs.empty() && continues_spec(piece))
      specs.back().append(",").append(piece);
    else if (!piece.empty())
      specs.emplace_back(piece);
    list = comma == list.npos ? std::string_view() : list.substr(comma + 1);
  }
  return specs;
}

bool concerns(const std::vector<std::string>& models, const StudyModel& model) {
  return models.empty() || std::ranges::find(models, model.name) != models.end();
}

Result<void> Study::set_models(const std::vector<std::string>& options) {
  KVTOLL_TRY(std::vector<StudyModel> given, models_of(options));
  std::vector<std::string_view> known;
  for (const StudyModel& model : models) known.push_back(model.name);
  const StudyModel* unknown = nullptr;
  bool replaced = false;
  for (const StudyModel& model : given) {
    const auto mine = std::ranges::find(models, model.name, &StudyModel::name);
    if (mine == models.end()) {
      unknown = &model;
      continue;
    }
    mine->source = model.source;
    replaced = true;
  }
  if (!unknown) return {};
  if (replaced || !nearest(unknown->name, known).empty())
    return usage_error("--model {}={}: the study {} has no model \"{}\"{}", unknown->name,
                       unknown->source, name, unknown->name, suggestion(unknown->name, known));
  if (given.size() > models.size())
    return usage_error("--model: the study {} has {} models, not {}", name, models.size(),
                       given.size());
  const auto cast = [&](std::vector<std::string>& names) {
    for (std::string& n : names) {
      const auto role = std::ranges::find(models, n, &StudyModel::name) - models.begin();
      n = given[std::min(static_cast<size_t>(role), given.size() - 1)].name;
    }
    names.erase(std::ranges::unique(names).begin(), names.end());
  };
  for (MatrixPart& part : matrix) cast(part.models);
  for (EvalPart& part : evals) cast(part.models);
  models = std::move(given);
  return {};
}

Result<Study> load_study(const std::string& name_or_path) {
  const bool is_file =
      name_or_path.ends_with(".toml") || name_or_path.find('/') != name_or_path.npos;
  if (is_file) {
    KVTOLL_TRY(const std::string text, read_file(name_or_path));
    return parse_study(text, std::filesystem::path(name_or_path).stem().string(), name_or_path);
  }
  std::vector<std::string_view> known;
  for (const BuiltinStudy& builtin : builtin_studies()) {
    if (builtin.name == name_or_path)
      return parse_study(builtin.toml, name_or_path,
                         fmt::format("built-in study {}", builtin.name));
    known.push_back(builtin.name);
  }
  return usage_error("no study \"{}\"{} (a file ends in .toml)", name_or_path,
                     suggestion(name_or_path, known));
}

Result<Study> study_from_options(const std::vector<std::string>& models, MatrixPart part) {
  if (models.empty())
    return usage_error("which model? write --model NAME=PATH, or name a study (kvtoll run demo)");
  if (part.kv.empty() || part.new_tokens.empty())
    return usage_error("a run without a study needs --kv LIST and --new-tokens LIST");
  Study study;
  study.name = "command-line";
  study.title = "From the command line";
  KVTOLL_TRY(study.models, models_of(models));
  for (const std::string& kv : part.kv) KVTOLL_TRY_VOID(KvPolicy::parse(kv).map([](auto&&) {}));
  study.matrix.push_back(std::move(part));
  return study;
}

}  // namespace kvtoll::studies
