// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/tokenizer_sidecars.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kvtoll/core/files.h"

namespace kvtoll {
namespace {

using Json = nlohmann::json;

// The file's object; an empty one when there is no such file.
Result<Json> read_object(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return Json::object();
  KVTOLL_TRY(const std::string text, read_file(file));
  Json root = Json::parse(text, nullptr, false);
  if (!root.is_object()) return input_error("{}: not a JSON object", file.string());
  return root;
}

// "text" or {"content": "text"}.
std::string token_text(const Json& root, const char* key) {
  const auto found = root.find(key);
  if (found == root.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  return found->is_object() && found->contains("content") && (*found)["content"].is_string()
             ? (*found)["content"].get<std::string>()
             : "";
}

void add_eos(TokenizerParts& parts, int64_t id) {
  if (id < 0 || id >= parts.vocabulary.size()) return;
  const auto eos = static_cast<int32_t>(id);
  if (std::find(parts.eos.begin(), parts.eos.end(), eos) == parts.eos.end())
    parts.eos.push_back(eos);
}

// eos_token_id: a number or a list of numbers. False if there is none.
bool add_eos_ids(TokenizerParts& parts, const Json& root) {
  const auto found = root.find("eos_token_id");
  if (found == root.end()) return false;
  if (found->is_number_integer()) add_eos(parts, found->get<int64_t>());
  if (found->is_array())
    for (const Json& id : *found)
      if (id.is_number_integer()) add_eos(parts, id.get<int64_t>());
  return !parts.eos.empty();
}

// A template text, or a list of named ones, of which "default" is meant.
std::string template_text(const Json& root) {
  const auto found = root.find("chat_template");
  if (found == root.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (found->is_array())
    for (const Json& entry : *found)
      if (entry.is_object() && entry.value("name", Json()) == "default" &&
          entry.value("template", Json()).is_string())
        return entry["template"].get<std::string>();
  return "";
}

}  // namespace

Result<void> read_sidecars(const std::filesystem::path& folder, TokenizerParts& parts) {
  KVTOLL_TRY(const Json tokenizer, read_object(folder / "tokenizer_config.json"));
  KVTOLL_TRY(const Json generation, read_object(folder / "generation_config.json"));
  KVTOLL_TRY(const Json config, read_object(folder / "config.json"));
  // The tokens that end a reply: generation_config.json knows best; config.json speaks where it is
  // silent; the tokenizer's own eos always counts.
  if (!add_eos_ids(parts, generation)) add_eos_ids(parts, config);
  if (const auto eos = parts.vocabulary.find(token_text(tokenizer, "eos_token")))
    add_eos(parts, *eos);
  parts.bos = parts.vocabulary.find(token_text(tokenizer, "bos_token"));
  if (const auto adds = tokenizer.find("add_bos_token");
      adds != tokenizer.end() && adds->is_boolean())
    parts.adds_bos = adds->get<bool>();
  parts.adds_bos &= parts.bos.has_value();
  parts.chat_template = template_text(tokenizer);
  const std::filesystem::path jinja = folder / "chat_template.jinja";
  std::error_code error;
  if (std::filesystem::exists(jinja, error)) {
    KVTOLL_TRY(parts.chat_template, read_file(jinja));
  }
  return {};
}

}  // namespace kvtoll
