// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/model_path.h"

#include <algorithm>
#include <cstdlib>

#include "kvtoll/core/files.h"

namespace kvtoll {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

fs::path hub_cache() {
  if (const auto hub = environment("HF_HUB_CACHE"); !hub.empty()) return hub;
  if (const auto home = environment("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  if (const auto cache = environment("XDG_CACHE_HOME"); !cache.empty())
    return fs::path(cache) / "huggingface" / "hub";
  return fs::path(environment("HOME")) / ".cache" / "huggingface" / "hub";
}

// ORG/NAME with the characters the hub allows.
bool looks_like_hub_id(std::string_view id) {
  if (std::count(id.begin(), id.end(), '/') != 1 || id.front() == '/' || id.back() == '/' ||
      id.front() == '.' || id.find("/.") != std::string_view::npos)
    return false;
  return std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '/' || c == '-' || c == '_' || c == '.';
  });
}

std::string trimmed(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
    text.pop_back();
  return text;
}

Result<ModelPath> resolve_hub_id(const std::string& spec) {
  const size_t at = spec.find('@');
  const std::string id = spec.substr(0, at);
  const std::string revision = at == std::string::npos ? "main" : spec.substr(at + 1);
  const fs::path cache = hub_cache();
  std::string folder = "models--" + id;
  folder.replace(folder.find('/'), 1, "--");
  const fs::path root = cache / folder;
  std::error_code ec;
  if (!fs::is_directory(root, ec))
    return input_error(
        "{}: no such file or folder, and the hub cache {} has no such model; download it first "
        "(huggingface-cli download {}) or pass a folder, a .gguf file or synthetic:GEOMETRY",
        spec, cache.string(), id);
  if (revision.empty() || revision.find("..") != std::string::npos)
    return input_error("{}: \"{}\" is not a revision", spec, revision);
  std::string commit = revision;
  if (fs::is_regular_file(root / "refs" / revision, ec)) {
    KVTOLL_TRY(const std::string text, read_file(root / "refs" / revision));
    commit = trimmed(text);
  }
  const fs::path snapshot = root / "snapshots" / commit;
  if (commit.empty() || !fs::is_directory(snapshot, ec))
    return input_error("{}: the hub cache has no snapshot {} of it ({}); download it again", spec,
                       commit, snapshot.string());
  return ModelPath{ModelSource::kFolder, snapshot, id.substr(id.find('/') + 1)};
}

std::string short_name(const fs::path& path) {
  std::error_code ec;
  const fs::path whole = fs::weakly_canonical(path, ec);
  return (ec ? path : whole).filename().string();
}

}  // namespace

Result<ModelPath> resolve_model(const std::string& spec) {
  if (spec.empty()) return usage_error("--model is empty");
  constexpr std::string_view kSyntheticPrefix = "synthetic:";
  if (spec.starts_with(kSyntheticPrefix)) {
    const std::string rest = spec.substr(kSyntheticPrefix.size());
    return ModelPath{ModelSource::kSynthetic, {}, rest.substr(0, rest.find(':'))};
  }
  std::error_code ec;
  const fs::path path(spec);
  if (fs::is_directory(path, ec)) return ModelPath{ModelSource::kFolder, path, short_name(path)};
  if (fs::exists(path, ec)) {
    if (path.extension() == ".gguf")
      return ModelPath{ModelSource::kGguf, path, path.stem().string()};
    return input_error("{}: neither a folder nor a .gguf file; for *.safetensors pass its folder",
                       spec);
  }
  if (looks_like_hub_id(spec.substr(0, spec.find('@')))) return resolve_hub_id(spec);
  return input_error(
      "{}: no such file or folder; --model takes a folder with config.json, a .gguf file, "
      "ORG/NAME in the hub cache or synthetic:GEOMETRY (kvtoll models lists them)",
      spec);
}

}  // namespace kvtoll
