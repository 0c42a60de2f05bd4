// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/record_name.h"

#include <fmt/core.h>

#include "kvtoll/core/text_hash.h"

namespace kvtoll::report {
namespace {

constexpr size_t kLongestPart = 100;  // two parts and the numbers stay under 255 bytes

std::string name_part(std::string_view text) {
  std::string encoded = percent_encode(text);
  if (encoded.size() <= kLongestPart) return encoded;
  return fmt::format("{},h{}", encoded.substr(0, kLongestPart - 18), text_hash(text));
}

}  // namespace

std::string percent_encode(std::string_view text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._=,-";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string record_path(std::string_view backend, std::string_view attention,
                        std::string_view launch) {
  if (backend == "cpu") return "cpu";
  const bool graph = launch == "graph";
  if (attention == "fused") return graph ? "fused" : "fused-eager";
  return graph ? "materialize-graph" : "hf";
}

std::string record_file_name(const RecordKey& key) {
  std::string name = fmt::format("{}.{}.n{}.r{}", name_part(key.model), name_part(key.kv),
                                 key.new_tokens, key.residual);
  if (key.batch != 1) name += fmt::format(".b{}", key.batch);
  if (key.prompt_tokens != kDefaultPromptTokens) name += fmt::format(".p{}", key.prompt_tokens);
  return name + "." + key.path + ".json";
}

}  // namespace kvtoll::report
