// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/prompts.h"

#include <array>
#include <string_view>

#include "kvtoll/model/chat.h"
#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace {

constexpr std::string_view kStepByStep =
    "Please reason step by step, and put your final answer within \\boxed{}.";
constexpr std::array<std::string_view, 4> kStyles = {"r1-distill", "qwen25-math", "minerva",
                                                     "simple"};

struct Shot {
  std::string_view problem, solution;
};
constexpr Shot kMinervaShots[] = {
#include "kvtoll/quality/minerva_shots.inc"
};

Prompt minerva_prompt(const Question& question) {
  Prompt prompt;
  prompt.raw = true;
  prompt.stop = "Problem:";
  for (const Shot& shot : kMinervaShots)
    prompt.text.append("Problem:\n")
        .append(shot.problem)
        .append("\n\nSolution: ")
        .append(shot.solution)
        .append("\n\n");
  prompt.text.append("Problem:\n").append(question.text).append("\n\nSolution:");
  return prompt;
}

// Messages in the model's chat format; as plain text for a model that has none.
Result<Prompt> chat_prompt(const std::vector<ChatMessage>& messages, const Tokenizer& tokenizer,
                           const std::string& model) {
  Prompt prompt;
  if (tokenizer.chat_template().empty()) {
    prompt.raw = true;
    for (const ChatMessage& message : messages) prompt.text += message.content + "\n\n";
    return prompt;
  }
  KVTOLL_TRY(const ChatFormat format, recognize_chat_format(tokenizer.chat_template(), model));
  prompt.text = render_chat(format, tokenizer.chat_template(), messages);
  prompt.thinking = prompt.text.ends_with("<think>\n");
  return prompt;
}

std::string spaced(std::string subject) {
  replace_all(subject, "_", " ");
  return subject;
}

std::string choice_block(const Question& q) {
  std::string text(trim(q.text));
  for (size_t i = 0; i < q.choices.size(); ++i)
    text += fmt::format("\n{}. {}", static_cast<char>('A' + i), q.choices[i]);
  return text + "\nAnswer:";
}

}  // namespace

Result<std::string> resolve_style(const std::string& style, const Tokenizer& tokenizer,
                                  const std::string& model) {
  if (style.empty() || style == "auto") {
    if (tokenizer.chat_template().empty()) return "minerva";
    KVTOLL_TRY(const ChatFormat format, recognize_chat_format(tokenizer.chat_template(), model));
    return format == ChatFormat::kR1Distill ? "r1-distill" : "qwen25-math";
  }
  for (std::string_view known : kStyles)
    if (style == known) return style;
  return usage_error("unknown prompt style '{}': r1-distill, qwen25-math, minerva, simple", style);
}

Result<Prompt> math_prompt(const Question& question, const std::string& style,
                           const Tokenizer& tokenizer, const std::string& model) {
  if (style == "minerva") return minerva_prompt(question);
  std::vector<ChatMessage> messages;
  if (style == "qwen25-math") {
    messages.push_back({"system", std::string(kStepByStep)});
    messages.push_back({"user", question.text});
  } else if (style == "r1-distill") {
    messages.push_back({"user", question.text + "\n" + std::string(kStepByStep)});
  } else {
    messages.push_back(
        {"user", question.text + "\n\nEnd with a line of the form \"Answer: $ANSWER\"."});
  }
  return chat_prompt(messages, tokenizer, model);
}

Prompt mmlu_letter_prompt(const Question& question, const Examples& examples, int shots) {
  Prompt prompt;
  prompt.raw = true;
  prompt.stop = "\n";
  prompt.text =
      fmt::format("The following are multiple choice questions (with answers) about {}.\n\n",
                  spaced(question.group));
  if (const auto* worked = examples.find(question.group))
    for (size_t i = 0; i < worked->size() && i < static_cast<size_t>(shots); ++i)
      prompt.text += choice_block((*worked)[i]) + " " + (*worked)[i].answer + "\n\n";
  prompt.text += choice_block(question);
  return prompt;
}

Result<Prompt> mmlu_cot_prompt(const Question& question, const std::string& style,
                               const Tokenizer& tokenizer, const std::string& model) {
  std::string text =
      "Answer this multiple choice question. Think step by step, and let the last line of your "
      "reply be \"Answer: LETTER\", where LETTER is one of A, B, C, D.\n\n";
  text += std::string(trim(question.text)) + "\n";
  for (size_t i = 0; i < question.choices.size(); ++i)
    text += fmt::format("\n{}) {}", static_cast<char>('A' + i), question.choices[i]);
  if (style != "minerva") return chat_prompt({{"user", text}}, tokenizer, model);
  Prompt prompt;
  prompt.raw = true;
  prompt.text = text + "\n\n";
  return prompt;
}

Result<Prompt> task_prompt(const std::string& message, const Tokenizer& tokenizer,
                           const std::string& model) {
  return chat_prompt({{"user", message}}, tokenizer, model);
}

}  // namespace kvtoll
