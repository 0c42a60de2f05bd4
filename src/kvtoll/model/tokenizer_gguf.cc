// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// tokenizer.ggml.* and tokenizer.chat_template: the same parts as in tokenizer.json, in llama.cpp's
// words. The splitter has a name instead of a pattern; what the name implies stands in kSplitters.
#include <algorithm>
#include <array>

#include "kvtoll/model/bpe_tokenizer.h"
#include "kvtoll/model/gguf.h"
#include "kvtoll/model/unicode.h"

namespace kvtoll {
namespace {

// tokenizer.ggml.token_type
constexpr int64_t kControl = 3, kUserDefined = 4;

struct Splitter {
  std::string_view name;  // tokenizer.ggml.pre
  SplitKind kind;
  bool digits_first;  // every digit apart before the splitter sees the text
  bool nfc;
  bool ignore_merges;
  bool adds_bos;  // unless tokenizer.ggml.add_bos_token says otherwise
};
constexpr std::array<Splitter, 5> kSplitters = {{
    {"qwen2", SplitKind::kQwen2, false, true, false, false},
    {"deepseek-r1-qwen", SplitKind::kQwen2, false, true, false, false},
    {"llama-bpe", SplitKind::kLlama3, false, false, true, true},
    {"smollm", SplitKind::kGpt2, true, false, false, false},
    {"gpt-2", SplitKind::kGpt2, false, false, false, false},
}};

Result<Splitter> read_splitter(const GgufFile& file, const std::string& where) {
  KVTOLL_TRY(const std::string_view model, file.text("tokenizer.ggml.model"));
  if (model != "gpt2")
    return input_error(
        "{}: tokenizer.ggml.model is '{}'; only byte-level BPE ('gpt2') is supported", where,
        model);
  KVTOLL_TRY(const std::string_view pre, file.text("tokenizer.ggml.pre"));
  const auto* const found = std::find_if(kSplitters.begin(), kSplitters.end(),
                                         [&](const Splitter& s) { return s.name == pre; });
  if (found != kSplitters.end()) return *found;
  return input_error(
      "{}: tokenizer.ggml.pre is '{}'; known are qwen2, deepseek-r1-qwen, llama-bpe, smollm and "
      "gpt-2",
      where, pre);
}

Result<Vocabulary> read_vocabulary(const GgufFile& file, const std::string& where) {
  const auto* texts = file.find_strings("tokenizer.ggml.tokens");
  if (!texts) return input_error("{}: tokenizer.ggml.tokens is missing or no list of texts", where);
  std::vector<std::pair<std::string, int64_t>> tokens;
  tokens.reserve(texts->size());
  for (const std::string_view text : *texts) {
    if (!is_valid_utf8(text))
      return input_error("{}: tokenizer.ggml.tokens[{}] is not UTF-8", where, tokens.size());
    tokens.emplace_back(text, static_cast<int64_t>(tokens.size()));
  }
  return Vocabulary::make(std::move(tokens), where);
}

Result<std::vector<AddedToken>> read_added_tokens(const GgufFile& file,
                                                  const Vocabulary& vocabulary,
                                                  const std::string& where) {
  std::vector<AddedToken> added;
  if (!file.contains("tokenizer.ggml.token_type")) return added;
  const auto* types = file.find_integers("tokenizer.ggml.token_type");
  if (!types || types->size() != static_cast<size_t>(vocabulary.size()))
    return input_error("{}: tokenizer.ggml.token_type has {} entries for {} tokens", where,
                       types ? types->size() : 0, vocabulary.size());
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const int64_t type = (*types)[id];
    if (type != kControl && type != kUserDefined) continue;
    if (vocabulary.text(id).empty())
      return input_error("{}: tokenizer.ggml.tokens[{}] is a special token without text", where,
                         id);
    added.push_back({.content = vocabulary.text(id), .id = id, .special = type == kControl});
  }
  return added;
}

Result<Bpe> read_bpe(const GgufFile& file, const Vocabulary& vocabulary, bool ignore_merges,
                     const std::string& where) {
  const auto* merges = file.find_strings("tokenizer.ggml.merges");
  if (!merges)
    return input_error("{}: tokenizer.ggml.merges is missing or no list of texts", where);
  Bpe::Builder builder(vocabulary, merges->size(), where);
  size_t index = 0;
  for (const std::string_view merge : *merges) {
    const size_t space = merge.find(' ');
    if (space == merge.npos || merge.find(' ', space + 1) != merge.npos)
      return input_error("{}: tokenizer.ggml.merges[{}] is not of the form 'a b'", where, index);
    KVTOLL_TRY_VOID(builder.add(merge.substr(0, space), merge.substr(space + 1)));
    ++index;
  }
  return builder.finish({.ignore_merges = ignore_merges});
}

// A token id that may be absent. Errors: kInput when it is outside the vocabulary.
Result<std::optional<int32_t>> read_id(const GgufFile& file, const std::string& key,
                                       const Vocabulary& vocabulary, const std::string& where) {
  if (!file.contains(key)) return std::nullopt;
  KVTOLL_TRY(const int64_t id, file.integer(key));
  if (id < 0 || id >= vocabulary.size())
    return input_error("{}: {} is {}, outside the vocabulary of {} tokens", where, key, id,
                       vocabulary.size());
  return static_cast<int32_t>(id);
}

// The file names one token that ends a reply; a family has more, known by their texts.
Result<std::vector<int32_t>> read_eos(const GgufFile& file, const Vocabulary& vocabulary,
                                      const std::vector<AddedToken>& added,
                                      const std::string& where) {
  std::vector<int32_t> eos;
  const auto add = [&](int32_t id) {
    if (std::find(eos.begin(), eos.end(), id) == eos.end()) eos.push_back(id);
  };
  for (const char* key : {"eos", "eot", "eom"}) {
    KVTOLL_TRY(const auto id,
               read_id(file, fmt::format("tokenizer.ggml.{}_token_id", key), vocabulary, where));
    if (id) add(*id);
  }
  constexpr std::array<std::string_view, 6> kEnds = {"<|im_end|>",      "<|endoftext|>",
                                                     "<|eot_id|>",      "<|eom_id|>",
                                                     "<|end_of_text|>", "<｜end▁of▁sentence｜>"};
  for (const AddedToken& token : added)
    if (token.special && std::find(kEnds.begin(), kEnds.end(), token.content) != kEnds.end())
      add(token.id);
  return eos;
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> read_tokenizer_gguf(const std::filesystem::path& path) {
  const std::string where = path.string();
  KVTOLL_TRY(const auto file, GgufFile::open(path));
  KVTOLL_TRY(const Splitter splitter, read_splitter(*file, where));
  TokenizerParts parts;
  KVTOLL_TRY(parts.vocabulary, read_vocabulary(*file, where));
  KVTOLL_TRY(parts.added, read_added_tokens(*file, parts.vocabulary, where));
  KVTOLL_TRY(parts.bpe, read_bpe(*file, parts.vocabulary, splitter.ignore_merges, where));
  std::vector<SplitStage> stages;
  if (splitter.digits_first) stages.push_back({SplitKind::kDigits});
  stages.push_back({splitter.kind});
  parts.pre_tokenizer = PreTokenizer(std::move(stages));
  parts.nfc = splitter.nfc;
  KVTOLL_TRY(parts.bos, read_id(*file, "tokenizer.ggml.bos_token_id", parts.vocabulary, where));
  KVTOLL_TRY(parts.adds_bos, file->boolean("tokenizer.ggml.add_bos_token", splitter.adds_bos));
  parts.adds_bos = parts.adds_bos && parts.bos;
  KVTOLL_TRY(parts.eos, read_eos(*file, parts.vocabulary, parts.added, where));
  if (file->contains("tokenizer.chat_template")) {
    KVTOLL_TRY(parts.chat_template, file->text("tokenizer.chat_template"));
  }
  return make_bpe_tokenizer(std::move(parts));
}

}  // namespace kvtoll
