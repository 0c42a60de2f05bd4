// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// From a configuration to the list of things to ask: questions, their prompts as token ids, and
// what each answer's record says before the model has spoken.
#pragma once

#include <functional>

#include "kvtoll/model/tokenizer.h"
#include "kvtoll/quality/eval_config.h"
#include "kvtoll/quality/eval_record.h"
#include "kvtoll/quality/question.h"

namespace kvtoll {

struct Ask {
  std::vector<int32_t> prompt;
  std::string stop;            // text that ends the reply
  int64_t max_new_tokens = 0;  // a reply that is longer cannot be right; 0: the run's limit alone
  uint64_t stream = 0;         // of random numbers: depends on question and sample only
  AnswerRecord answer;         // id, sample, gold, prompt's fields
};

struct AskList {
  std::vector<std::string> ids;  // one per question
  std::vector<Ask> asks;         // one per question and sample
  std::string style;             // resolved
  std::vector<int32_t> letters;  // tokens of " A" to " D", mode letter of mmlu
};

// Errors: those of datasets and prompts; kUnsupported when " A" is not one token of this model.
Result<AskList> make_asks(const EvalConfig& config, const Tokenizer& tokenizer);

}  // namespace kvtoll
