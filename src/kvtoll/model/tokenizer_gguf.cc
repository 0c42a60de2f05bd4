// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/bpe_tokenizer.h"

namespace kvtoll {

Result<std::shared_ptr<const Tokenizer>> read_tokenizer_gguf(const std::filesystem::path& file) {
  return input_error(
      "{}: the tokenizer of a GGUF file cannot be read yet; use the model's folder "
      "with tokenizer.json",
      file.string());
}

}  // namespace kvtoll
