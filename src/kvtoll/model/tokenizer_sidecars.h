// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What a model folder says about its tokenizer outside tokenizer.json: bos, eos and the chat
// template, in tokenizer_config.json, generation_config.json, config.json and chat_template.jinja.
#pragma once

#include <filesystem>

#include "kvtoll/core/result.h"
#include "kvtoll/model/bpe_tokenizer.h"

namespace kvtoll {

// Fills bos, adds_bos, eos and chat_template; a file that is missing says nothing. Errors: kInput
// for a file that is there and cannot be read.
Result<void> read_sidecars(const std::filesystem::path& folder, TokenizerParts& parts);

}  // namespace kvtoll
