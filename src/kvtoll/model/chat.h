// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Chat formats, selected by recognizing the model's template; an unknown template is an error that
// says how to pass a prompt raw.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kvtoll/core/result.h"

namespace kvtoll {

enum class ChatFormat : uint8_t { kR1Distill, kChatMl, kLlama3 };

struct ChatMessage {
  std::string role;  // system, user, assistant
  std::string content;
};

// Errors: kInput when the template text is empty or not one of the known ones.
Result<ChatFormat> recognize_chat_format(std::string_view chat_template, const std::string& where);
// The rendered prompt up to and including the generation prompt; text with the special tokens
// written out, bos included where the format has one.
std::string render_chat(ChatFormat format, std::string_view chat_template,
                        const std::vector<ChatMessage>& messages);

}  // namespace kvtoll
