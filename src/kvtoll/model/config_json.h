// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// config.json and generation_config.json of a Hugging Face folder to ModelConfig, with the defaults
// that transformers applies. What we would compute differently from transformers (another
// activation, rope scaling, a sliding window in use, quantized weights) is an error, never ignored.
// Example: KVTOLL_TRY(auto config, parse_config_json(text, "", "some/folder/config.json"));
#pragma once

#include <string>
#include <string_view>

#include "kvtoll/core/result.h"
#include "kvtoll/model/config.h"

namespace kvtoll {

// generation_config: the text of generation_config.json, empty if there is none; its eos_token_id
// wins. `where` names config.json in messages. Errors: kInput naming file and key. The result is
// valid (config.h).
Result<ModelConfig> parse_config_json(std::string_view config, std::string_view generation_config,
                                      const std::string& where);

}  // namespace kvtoll
