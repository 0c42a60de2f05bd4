// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/model/chat.h"

#include <algorithm>

#include "kvtoll/model/unicode.h"

namespace kvtoll {
namespace {

constexpr std::string_view kR1Bos = "<｜begin▁of▁sentence｜>", kR1User = "<｜User｜>",
                           kR1Assistant = "<｜Assistant｜>", kR1End = "<｜end▁of▁sentence｜>";
constexpr std::string_view kEndOfThought = "</think>";

bool has(std::string_view text, std::string_view part) { return text.find(part) != text.npos; }

// Without the white space at both ends, as Python's str.strip has it.
std::string strip(std::string_view text) {
  size_t begin = text.size(), end = 0;
  for (size_t pos = 0; pos < text.size();) {
    const Utf8Step step = utf8_step(text, pos);
    const char32_t c = step.valid ? code_point_at(text, pos).value : 0xFFFD;
    const bool space = char_class(c) == CharClass::kSpace || (c >= 0x1C && c <= 0x1F);
    if (!space) begin = std::min(begin, pos), end = pos + step.length;
    pos += step.length;
  }
  return begin < end ? std::string(text.substr(begin, end - begin)) : "";
}

// The value of the quoted literal that starts at `pos`; `pos` moves behind it. Escapes as in Jinja.
std::string read_literal(std::string_view text, size_t& pos) {
  const char quote = text[pos++];
  std::string value;
  for (; pos < text.size() && text[pos] != quote; ++pos) {
    char c = text[pos];
    if (c == '\\' && pos + 1 < text.size()) {
      c = text[++pos];
      if (c == 'n') c = '\n';
      if (c == 't') c = '\t';
    }
    value += c;
  }
  if (pos < text.size()) ++pos;
  return value;
}

// Every string literal inside {{ }} and {% %}, in order.
std::vector<std::string> literals(std::string_view text) {
  std::vector<std::string> found;
  bool code = false;
  for (size_t pos = 0; pos < text.size();) {
    const std::string_view two = text.substr(pos, 2);
    if (!code && (two == "{{" || two == "{%")) {
      code = true;
      pos += 2;
    } else if (code && (two == "}}" || two == "%}")) {
      code = false;
      pos += 2;
    } else if (code && (text[pos] == '\'' || text[pos] == '"')) {
      found.push_back(read_literal(text, pos));
    } else {
      ++pos;
    }
  }
  return found;
}

// The template with its spaces gone and one kind of quotes, so that layout does not matter.
std::string squeezed(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != ' ' && c != '\n' && c != '\r' && c != '\t') out += c == '"' ? '\'' : c;
  return out;
}

std::string after_thought(const std::string& content) {
  const size_t end = content.rfind(kEndOfThought);
  return end == content.npos ? content : content.substr(end + kEndOfThought.size());
}

// Several system messages: this family's templates either join them or keep the last.
std::string r1_system(std::string_view chat_template, const std::vector<ChatMessage>& messages) {
  const bool joins = has(chat_template, "is_first_sp");
  std::string system;
  bool first = true;
  for (const ChatMessage& message : messages) {
    if (message.role != "system") continue;
    system = joins && !first ? system + "\n\n" + message.content : message.content;
    first = false;
  }
  return system;
}

std::string render_r1(std::string_view chat_template, const std::vector<ChatMessage>& messages) {
  std::string text(kR1Bos);
  text += r1_system(chat_template, messages);
  for (const ChatMessage& message : messages) {
    if (message.role == "user") text.append(kR1User).append(message.content);
    if (message.role == "assistant")
      text.append(kR1Assistant).append(after_thought(message.content)).append(kR1End);
  }
  // Some of these templates leave <think> to the model; its authors advise to enforce it.
  return text.append(kR1Assistant).append("<think>\n");
}

// The system message a ChatML template writes when the conversation has none.
std::string chatml_default_system(const std::vector<std::string>& all) {
  constexpr std::string_view kStart = "<|im_start|>system\n", kEnd = "<|im_end|>";
  for (const std::string& literal : all) {
    const size_t end = literal.find(kEnd);
    if (literal.starts_with(kStart) && end != literal.npos)
      return literal.substr(kStart.size(), end - kStart.size());
  }
  return "";
}

// What a thinking model sees of its earlier replies: what follows the thought, and no line ends
// before it (in some templates only where there was a thought).
std::string chatml_history(std::string_view chat_template, const ChatMessage& message) {
  if (message.role != "assistant" || !has(chat_template, kEndOfThought)) return message.content;
  const bool only_thoughts = has(chat_template, "if '</think>' in");
  if (only_thoughts && !has(message.content, kEndOfThought)) return message.content;
  const std::string content = after_thought(message.content);
  return content.substr(std::min(content.find_first_not_of('\n'), content.size()));
}

std::string render_chatml(std::string_view chat_template,
                          const std::vector<ChatMessage>& messages) {
  const std::vector<std::string> all = literals(chat_template);
  std::string text;
  const auto add = [&](std::string_view role, std::string_view content) {
    text.append("<|im_start|>").append(role).append("\n").append(content).append("<|im_end|>\n");
  };
  const std::string system = chatml_default_system(all);
  if (!system.empty() && (messages.empty() || messages.front().role != "system"))
    add("system", system);
  for (const ChatMessage& message : messages)
    add(message.role, chatml_history(chat_template, message));
  text += "<|im_start|>assistant\n";
  const bool thinks =
      std::find(all.begin(), all.end(), "<|im_start|>assistant\n<think>\n") != all.end();
  return thinks ? text + "<think>\n" : text;
}

// Llama 3.1 and later open with a system message that states dates. Where the template asks for
// today's date we write the one it falls back to, so that a prompt is the same on every day.
std::string llama3_dates(std::string_view chat_template) {
  std::string date = "26 Jul 2024";
  constexpr std::string_view kSet = "set date_string = \"";
  if (const size_t at = chat_template.rfind(kSet); at != chat_template.npos) {
    size_t pos = at + kSet.size() - 1;
    date = read_literal(chat_template, pos);
  }
  return "Cutting Knowledge Date: December 2023\nToday Date: " + date + "\n\n";
}

std::string render_llama3(std::string_view chat_template,
                          const std::vector<ChatMessage>& messages) {
  std::string text = "<|begin_of_text|>";
  const auto add = [&](std::string_view role, std::string_view content) {
    text.append("<|start_header_id|>").append(role).append("<|end_header_id|>\n\n");
    text.append(content).append("<|eot_id|>");
  };
  size_t next = 0;
  if (has(chat_template, "Cutting Knowledge Date")) {
    const bool given = !messages.empty() && messages.front().role == "system";
    add("system", llama3_dates(chat_template) + (given ? strip(messages.front().content) : ""));
    next = given ? 1 : 0;
  }
  for (; next < messages.size(); ++next) add(messages[next].role, strip(messages[next].content));
  return text + "<|start_header_id|>assistant<|end_header_id|>\n\n";
}

}  // namespace

Result<ChatFormat> recognize_chat_format(std::string_view chat_template, const std::string& where) {
  if (strip(chat_template).empty())
    return input_error("{}: the model has no chat template; pass the prompt as it is with --raw",
                       where);
  const std::string code = squeezed(chat_template);
  if (has(code, "'<｜User｜>'+message['content']}}") && has(code, "split('</think>')[-1]"))
    return ChatFormat::kR1Distill;
  if (has(code, "<|start_header_id|>'+message['role']+'<|end_header_id|>") &&
      has(code, "message['content']|trim+'<|eot_id|>'"))
    return ChatFormat::kLlama3;
  // strftime_now, ReasoningMode: SmolLM3, which adds text of its own.
  const std::vector<std::string> all = literals(chat_template);
  const bool opens_reply = std::any_of(all.begin(), all.end(), [](const std::string& literal) {
    return literal.starts_with("<|im_start|>assistant\n");
  });
  if (has(code, "'<|im_start|>'+message") && has(code, "<|im_end|>") && opens_reply &&
      !has(code, "strftime_now") && !has(code, "ReasoningMode"))
    return ChatFormat::kChatMl;
  return input_error(
      "{}: the chat template is none of R1-Distill, ChatML and Llama 3; write the prompt in the "
      "model's own format and pass it as it is with --raw",
      where);
}

std::string render_chat(ChatFormat format, std::string_view chat_template,
                        const std::vector<ChatMessage>& messages) {
  switch (format) {
    case ChatFormat::kR1Distill:
      return render_r1(chat_template, messages);
    case ChatFormat::kChatMl:
      return render_chatml(chat_template, messages);
    case ChatFormat::kLlama3:
      return render_llama3(chat_template, messages);
  }
  return "";
}

}  // namespace kvtoll
