// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/eval_questions.h"

#include "kvtoll/core/text_hash.h"
#include "kvtoll/quality/datasets.h"
#include "kvtoll/quality/prompts.h"
#include "kvtoll/quality/tasks/arith.h"
#include "kvtoll/quality/tasks/facts.h"

namespace kvtoll {
namespace {

// Room beyond the expected reply's length: the end-of-turn token, and a digit too many.
constexpr int64_t kSpareTokens = 16;

Dataset embedded(const EvalConfig& config) {
  const auto items = config.task == "arith"
                         ? arith_items(TaskSplit::kTest, config.limit, config.subset_seed)
                         : facts_items(TaskSplit::kTest, config.limit, config.subset_seed);
  Dataset data;
  for (const TaskItem& item : items) {
    Question q{.id = item.id,
               .level = item.level,
               .text = item.prompt,
               .answer = item.answer,
               .solution = item.solution};
    data.questions.push_back(std::move(q));
  }
  return data;
}

Result<Dataset> load(const EvalConfig& config) {
  if (config.task == "arith" || config.task == "facts") return embedded(config);
  KVTOLL_TRY(Dataset data, config.task == "math" ? load_math(config.data) : load_mmlu(config.data));
  data.questions = stratified_subset(data.questions, config.limit, config.subset_seed);
  return data;
}

Result<Prompt> prompt_of(const EvalConfig& config, const Question& question, const Dataset& data,
                         const std::string& style, const Tokenizer& tokenizer) {
  if (config.task == "math") return math_prompt(question, style, tokenizer, config.tokenizer);
  if (config.task != "mmlu") return task_prompt(question.text, tokenizer, config.tokenizer);
  if (config.mode == "cot") return mmlu_cot_prompt(question, style, tokenizer, config.tokenizer);
  return mmlu_letter_prompt(question, data.examples, config.shots);
}

std::vector<int32_t> tokens_of(const Prompt& prompt, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids = tokenizer.encode(prompt.text);
  if (prompt.raw && tokenizer.adds_bos() && tokenizer.bos())
    ids.insert(ids.begin(), *tokenizer.bos());
  return ids;
}

Result<std::vector<int32_t>> letter_tokens(const Tokenizer& tokenizer) {
  std::vector<int32_t> letters;
  const std::vector<int32_t> before = tokenizer.encode("Answer:");
  for (char letter = 'A'; letter <= 'D'; ++letter) {
    const auto ids = tokenizer.encode(std::string("Answer: ") + letter);
    if (ids.size() != before.size() + 1)
      return make_error(ErrorKind::kUnsupported,
                        "\" {}\" is not one token of this model: use --mode generate", letter);
    letters.push_back(ids.back());
  }
  return letters;
}

}  // namespace

Result<AskList> make_asks(const EvalConfig& config, const Tokenizer& tokenizer) {
  KVTOLL_TRY(const Dataset data, load(config));
  AskList list;
  const bool styled = config.task == "math" || config.mode == "cot";
  if (styled) {
    KVTOLL_TRY(list.style, resolve_style(config.style, tokenizer, config.tokenizer));
  } else {
    list.style = config.task == "mmlu" ? "lm-eval" : "chat";
  }
  if (config.task == "mmlu" && config.mode == "letter") {
    KVTOLL_TRY(list.letters, letter_tokens(tokenizer));
    if (config.shots > 0 && data.examples.by_group.empty())
      return input_error(
          "{}: no dev/*.csv with worked examples beside it; give --shots 0 to do "
          "without",
          config.data.string());
  }
  for (size_t i = 0; i < data.questions.size(); ++i) {
    const Question& question = data.questions[i];
    KVTOLL_TRY(const Prompt prompt, prompt_of(config, question, data, list.style, tokenizer));
    Ask ask;
    ask.prompt = tokens_of(prompt, tokenizer);
    ask.stop = prompt.stop;
    if (!question.solution.empty())
      ask.max_new_tokens =
          static_cast<int64_t>(tokenizer.encode(question.solution).size()) + kSpareTokens;
    ask.answer.id = question.id;
    ask.answer.group = question.group;
    ask.answer.level = question.level;
    ask.answer.gold = question.answer;
    ask.answer.thinking = prompt.thinking;
    ask.answer.prompt_hash = text_hash(prompt.text);
    ask.answer.prompt_tokens = static_cast<int64_t>(ask.prompt.size());
    list.ids.push_back(question.id);
    for (int sample = 0; sample < config.samples; ++sample) {
      ask.answer.sample = sample;
      ask.stream = i * 1000003ull + static_cast<uint64_t>(sample);
      list.asks.push_back(ask);
    }
  }
  return list;
}

}  // namespace kvtoll
