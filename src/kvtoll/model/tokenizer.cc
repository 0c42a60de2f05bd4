// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/tokenizer.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "kvtoll/model/bpe_tokenizer.h"
#include "kvtoll/model/model_path.h"
#include "kvtoll/model/unicode.h"

namespace kvtoll {

Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const std::string& model) {
  if (model.starts_with("synthetic:"))
    return input_error(
        "{}: a synthetic model has no tokenizer: give token ids (--token-ids), or the folder or "
        "GGUF file of a real model",
        model);
  // tokenizer.json itself may be named too: its folder is meant.
  const std::filesystem::path path(model);
  std::error_code error;
  if (path.filename() == "tokenizer.json" && std::filesystem::is_regular_file(path, error))
    return read_tokenizer_json(path.parent_path());
  KVTOLL_TRY(const ModelPath where, resolve_model(model));
  if (where.source == ModelSource::kFolder) return read_tokenizer_json(where.path);
  return read_tokenizer_gguf(where.path);
}

Result<std::vector<int32_t>> parse_token_ids(std::string_view text, int vocab_size,
                                             const std::string& where) {
  std::vector<int32_t> ids;
  for (size_t pos = 0; (pos = text.find_first_not_of(" ,\t\r\n[]", pos)) != text.npos;) {
    int32_t id = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + pos, end, id);
    const size_t next = std::min(text.find_first_of(" ,\t\r\n[]", pos), text.size());
    const std::string_view word = text.substr(pos, std::min<size_t>(next - pos, 40));
    if (error != std::errc() || stop != text.data() + next)
      return input_error("{}: byte {}: '{}' is not a token id (a number)", where, pos, word);
    if (id < 0 || id >= vocab_size)
      return input_error("{}: byte {}: token id {} is outside the vocabulary (0 to {})", where, pos,
                         word, vocab_size - 1);
    ids.push_back(id);
    pos = next;
  }
  return ids;
}

std::string StreamDecoder::push(int32_t id) {
  held_ += tokenizer_->decode({id}, skip_special_);
  std::string complete;
  size_t pos = 0;
  while (pos < held_.size()) {
    const Utf8Step step = utf8_step(held_, pos);
    if (step.truncated) break;
    complete += step.valid ? held_.substr(pos, step.length) : "\xEF\xBF\xBD";
    pos += step.length;
  }
  held_.erase(0, pos);
  return complete;
}

std::string StreamDecoder::finish() {
  std::string rest = valid_utf8(held_);
  held_.clear();
  return rest;
}

}  // namespace kvtoll
