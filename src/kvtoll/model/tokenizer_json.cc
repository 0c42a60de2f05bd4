// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// tokenizer.json of Hugging Face's `tokenizers`: a BPE model with a byte-level pre-tokenizer. What
// we do not know is an error, never a guess.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "kvtoll/core/files.h"
#include "kvtoll/model/bpe_tokenizer.h"
#include "kvtoll/model/tokenizer_sidecars.h"

namespace kvtoll {
namespace {

using Json = nlohmann::json;

constexpr uintmax_t kMaxBytes = uintmax_t{256} << 20;  // the largest known ones are below 40 MB

const Json& member(const Json& object, const std::string& key) {
  static const Json kNull;
  if (!object.is_object()) return kNull;
  const auto found = object.find(key);
  return found == object.end() ? kNull : *found;
}

bool flag(const Json& object, const char* key, bool otherwise) {
  const Json& value = member(object, key);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : ""; }
std::string type_of(const Json& object) { return text_of(member(object, "type")); }

// A value as a message shows it: at most 200 bytes of JSON.
std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', true);
  if (text.size() > 200) text = text.substr(0, 200) + "...";
  return text;
}

Result<std::vector<AddedToken>> read_added_tokens(const Json& root, const std::string& where) {
  std::vector<AddedToken> tokens;
  const Json& list = member(root, "added_tokens");
  if (!list.is_null() && !list.is_array())
    return input_error("{}: added_tokens is not a list", where);
  for (const Json& entry : list) {
    const Json &content = member(entry, "content"), &id = member(entry, "id");
    if (!content.is_string() || !id.is_number_integer())
      return input_error("{}: added_tokens[{}] needs a text `content` and an integer `id`: {}",
                         where, tokens.size(), shown(entry));
    AddedToken token{.content = content.get<std::string>(),
                     .special = flag(entry, "special", false)};
    if (token.content.empty())
      return input_error("{}: added_tokens[{}] has no content", where, tokens.size());
    if (id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
      return input_error("{}: added_tokens[{}] ('{}') has the id {}", where, tokens.size(),
                         token.content, shown(id));
    token.id = id.get<int32_t>();
    token.normalized = flag(entry, "normalized", !token.special);
    token.single_word = flag(entry, "single_word", false);
    token.lstrip = flag(entry, "lstrip", false);
    token.rstrip = flag(entry, "rstrip", false);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Result<Vocabulary> read_vocabulary(const Json& model, const std::vector<AddedToken>& added,
                                   const std::string& where) {
  const Json& vocab = member(model, "vocab");
  if (!vocab.is_object()) return input_error("{}: model.vocab is not an object", where);
  std::vector<std::pair<std::string, int64_t>> tokens;
  tokens.reserve(vocab.size() + added.size());
  for (const auto& [text, id] : vocab.items()) {
    if (!id.is_number_integer())
      return input_error("{}: model.vocab: the id of '{}' is {}, not an integer", where, text,
                         shown(id));
    tokens.emplace_back(text, id.get<int64_t>());
  }
  for (const AddedToken& token : added) {
    const Json& known = member(vocab, token.content);
    if (known.is_null())
      tokens.emplace_back(token.content, token.id);
    else if (known != token.id)
      return input_error("{}: added token '{}' has the id {}, but {} in model.vocab", where,
                         token.content, token.id, shown(known));
  }
  return Vocabulary::make(std::move(tokens), where);
}

// "a b" or ["a", "b"].
Result<void> add_merge(Bpe::Builder& builder, const Json& merge, size_t index,
                       const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return builder.add(merge[0].get_ref<const std::string&>(),
                       merge[1].get_ref<const std::string&>());
  if (merge.is_string()) {
    const std::string_view text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos)
      return builder.add(text.substr(0, space), text.substr(space + 1));
  }
  return input_error("{}: model.merges[{}] is neither \"a b\" nor [\"a\", \"b\"]: {}", where, index,
                     shown(merge));
}

Result<void> check_model(const Json& model, const std::string& where) {
  if (!model.is_object()) return input_error("{}: no `model`: not a tokenizer.json", where);
  const std::string type = type_of(model);
  if (type != "BPE" && !(type.empty() && model.contains("merges")))
    return input_error("{}: the model is {}; only byte-level BPE is supported", where,
                       type.empty() ? "of no type" : type);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!text_of(member(model, key)).empty())
      return input_error("{}: model.{} = {} is not supported", where, key,
                         shown(member(model, key)));
  const Json& dropout = member(model, "dropout");
  if (!dropout.is_null() && dropout != 0.0)
    return input_error("{}: model.dropout = {}: set it to null, or ids would be random", where,
                       shown(dropout));
  return {};
}

Result<Bpe> read_bpe(const Json& model, const Vocabulary& vocabulary, const std::string& where) {
  const Json& merges = member(model, "merges");
  if (!merges.is_array()) return input_error("{}: model.merges is not a list", where);
  Bpe::Builder builder(vocabulary, merges.size(), where);
  size_t index = 0;
  for (const Json& merge : merges) {
    const bool version_line = index == 0 && text_of(merge).starts_with("#version");
    if (!version_line) KVTOLL_TRY_VOID(add_merge(builder, merge, index, where));
    ++index;
  }
  BpeOptions options{.ignore_merges = flag(model, "ignore_merges", false),
                     .fuse_unknown = flag(model, "fuse_unk", false)};
  if (const Json& unknown = member(model, "unk_token"); unknown.is_string()) {
    const auto id = vocabulary.find(text_of(unknown));
    if (!id) return input_error("{}: model.unk_token {} is not a token", where, shown(unknown));
    options.unknown = *id;
  }
  Bpe bpe = builder.finish(options);
  if (flag(model, "byte_fallback", false) && !bpe.has_every_byte())
    return input_error("{}: model.byte_fallback with a vocabulary that lacks single bytes", where);
  return bpe;
}

Result<bool> read_normalizer(const Json& normalizer, const std::string& where) {
  if (normalizer.is_null()) return false;
  if (type_of(normalizer) == "NFC") return true;
  if (type_of(normalizer) == "Sequence" && member(normalizer, "normalizers").is_array()) {
    bool nfc = false;
    for (const Json& part : member(normalizer, "normalizers")) {
      KVTOLL_TRY(const bool part_nfc, read_normalizer(part, where));
      nfc |= part_nfc;
    }
    return nfc;
  }
  return input_error("{}: normalizer {} is not supported (NFC or none is)", where,
                     shown(normalizer));
}

Result<SplitStage> read_split(const Json& split, const std::string& where) {
  const Json& pattern = member(member(split, "pattern"), "Regex");
  const auto kind = split_kind_of_pattern(text_of(pattern));
  if (!kind)
    return input_error(
        "{}: pre_tokenizer splits by a pattern we do not know: {}; known are those of GPT-2, "
        "Qwen2, "
        "Llama 3 and SmolLM2",
        where, shown(member(split, "pattern")));
  // These patterns match every character, so removing what does not match changes nothing.
  const std::string behavior = text_of(member(split, "behavior"));
  const bool invert = flag(split, "invert", false);
  const bool total = *kind != SplitKind::kDigits && *kind != SplitKind::kDigitRuns;
  if (!(behavior == "Isolated" && !invert) && !(behavior == "Removed" && invert && total))
    return input_error("{}: pre_tokenizer Split with behavior {} and invert {} is not supported",
                       where, behavior, invert);
  return SplitStage{*kind};
}

Result<void> read_pre_tokenizer(const Json& pre, const std::string& where,
                                std::vector<SplitStage>& stages, bool& byte_level) {
  const std::string type = type_of(pre);
  if (byte_level)
    return input_error("{}: pre_tokenizer has a stage behind ByteLevel: {}", where, shown(pre));
  if (type == "Split") {
    KVTOLL_TRY(const SplitStage stage, read_split(pre, where));
    stages.push_back(stage);
    return {};
  }
  if (type == "Digits") {
    stages.push_back(
        {flag(pre, "individual_digits", false) ? SplitKind::kDigits : SplitKind::kDigitRuns});
    return {};
  }
  if (type == "ByteLevel") {
    byte_level = true;
    stages.push_back({flag(pre, "use_regex", true) ? SplitKind::kGpt2 : SplitKind::kWhole,
                      flag(pre, "add_prefix_space", true)});
    return {};
  }
  return input_error("{}: pre_tokenizer {} is not supported", where, shown(pre));
}

Result<PreTokenizer> read_pre_tokenizers(const Json& pre, const std::string& where) {
  std::vector<SplitStage> stages;
  bool byte_level = false;
  if (type_of(pre) == "Sequence" && member(pre, "pretokenizers").is_array()) {
    for (const Json& part : member(pre, "pretokenizers"))
      KVTOLL_TRY_VOID(read_pre_tokenizer(part, where, stages, byte_level));
  } else if (!pre.is_null()) {
    KVTOLL_TRY_VOID(read_pre_tokenizer(pre, where, stages, byte_level));
  }
  if (!byte_level)
    return input_error(
        "{}: pre_tokenizer {} has no ByteLevel stage; only byte-level BPE is "
        "supported",
        where, shown(pre));
  return PreTokenizer(std::move(stages));
}

// The post-processor writes a token before the text: bos is expected.
bool post_processor_adds_bos(const Json& processor) {
  for (const Json& part : member(processor, "processors"))
    if (post_processor_adds_bos(part)) return true;
  const Json& single = member(processor, "single");
  return single.is_array() && !single.empty() && single[0].is_object() &&
         single[0].contains("SpecialToken");
}

Result<TokenizerParts> read_parts(const Json& root, const std::string& where) {
  KVTOLL_TRY_VOID(check_model(member(root, "model"), where));
  TokenizerParts parts;
  const Json& model = member(root, "model");
  KVTOLL_TRY(parts.added, read_added_tokens(root, where));
  KVTOLL_TRY(parts.vocabulary, read_vocabulary(model, parts.added, where));
  KVTOLL_TRY(parts.bpe, read_bpe(model, parts.vocabulary, where));
  KVTOLL_TRY(parts.nfc, read_normalizer(member(root, "normalizer"), where));
  KVTOLL_TRY(parts.pre_tokenizer, read_pre_tokenizers(member(root, "pre_tokenizer"), where));
  const Json& decoder = member(root, "decoder");
  if (!decoder.is_null() && type_of(decoder) != "ByteLevel")
    return input_error("{}: decoder {} is not supported (ByteLevel is)", where, shown(decoder));
  parts.adds_bos = post_processor_adds_bos(member(root, "post_processor"));
  return parts;
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> read_tokenizer_json(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "tokenizer.json";
  const std::string where = file.string();
  std::error_code error;
  if (!std::filesystem::exists(file, error))
    return input_error("{}: missing; the tokenizer of a model folder is its tokenizer.json", where);
  if (const auto size = std::filesystem::file_size(file, error); !error && size > kMaxBytes)
    return input_error("{}: {} bytes, more than any tokenizer needs ({})", where, size, kMaxBytes);
  KVTOLL_TRY(const std::string text, read_file(file));
  TokenizerParts parts;
  try {
    const Json root = Json::parse(text);
    KVTOLL_TRY(parts, read_parts(root, where));
  } catch (const Json::exception& e) {
    return input_error("{}: {}", where, e.what());
  }
  KVTOLL_TRY_VOID(read_sidecars(folder, parts));
  return make_bpe_tokenizer(std::move(parts));
}

}  // namespace kvtoll
