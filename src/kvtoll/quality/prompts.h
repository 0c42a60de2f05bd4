// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What a model reads for a question. Styles for reasoning tasks (math, and cot of mmlu):
// r1-distill, qwen25-math, minerva, simple. MMLU by letter: the text of lm-evaluation-harness.
#pragma once

#include <string>
#include <string_view>

#include "kvtoll/core/result.h"
#include "kvtoll/model/tokenizer.h"
#include "kvtoll/quality/question.h"

namespace kvtoll {

struct Prompt {
  std::string text;       // special tokens written out
  bool raw = false;       // no chat format: bos is added where the model expects it
  bool thinking = false;  // ends behind an opened <think>
  std::string stop;       // text that ends a reply ("Problem:"), empty: end-of-sequence only
};

// "auto" becomes the style the model's chat template suggests, minerva for one without a template.
// Errors: kUsage for an unknown style, kInput for an unknown chat template.
Result<std::string> resolve_style(const std::string& style, const Tokenizer& tokenizer,
                                  const std::string& model);

Result<Prompt> math_prompt(const Question& question, const std::string& style,
                           const Tokenizer& tokenizer, const std::string& model);

// "The following are multiple choice questions ... Answer:", shots from the subject's examples.
Prompt mmlu_letter_prompt(const Question& question, const Examples& examples, int shots);

// Zero-shot chain of thought; the last line is to be "Answer: LETTER".
Result<Prompt> mmlu_cot_prompt(const Question& question, const std::string& style,
                               const Tokenizer& tokenizer, const std::string& model);

// The user's message of an embedded task in the model's chat format.
Result<Prompt> task_prompt(const std::string& message, const Tokenizer& tokenizer,
                           const std::string& model);

}  // namespace kvtoll
