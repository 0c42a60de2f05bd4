// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/prompt.h"

#include <algorithm>
#include <random>

#include "kvtoll/model/tokenizer.h"

namespace kvtoll::studies {
namespace {

constexpr uint32_t kSeed = 20250131;

// A word problem of the kind that reasoning models answer at length. Repeated where more is needed.
constexpr std::string_view kText =
    "A reservoir is fed by two rivers and drained by one canal. The first river brings 340 cubic "
    "metres an hour from six in the morning until noon and half as much for the rest of the day. "
    "The second river brings 125 cubic metres an hour all day long. The canal takes 410 cubic "
    "metres an hour while the pumps run, which is from eight in the morning until eight in the "
    "evening. At midnight the reservoir held 5,200 cubic metres. How much does it hold at the next "
    "midnight, at what hour is it fullest, and for how many hours could the pumps run longer if "
    "the "
    "level must not fall below that of the first midnight? Reason step by step, check each number "
    "twice, and give the final answers in a box. ";

}  // namespace

Prompt fixed_prompt(const std::string& source, int vocab, int64_t tokens) {
  Prompt prompt;
  if (!source.starts_with("synthetic:")) {
    if (auto tokenizer = open_tokenizer(source)) {
      const std::vector<int32_t> ids = (*tokenizer)->encode(kText);
      const bool fits = std::ranges::all_of(ids, [&](int32_t id) { return id < vocab; });
      if (!ids.empty() && fits) {
        prompt.kind = "text";
        while (static_cast<int64_t>(prompt.tokens.size()) < tokens)
          prompt.tokens.push_back(ids[prompt.tokens.size() % ids.size()]);
        return prompt;
      }
      prompt.warning = "the tokenizer has ids beyond the model's vocabulary; seeded ids were used";
    } else {
      prompt.warning = "no tokenizer, so seeded ids were used: " + tokenizer.error().message;
    }
  }
  prompt.kind = "seeded";
  std::mt19937 draw(kSeed);  // its sequence is fixed by the C++ standard
  for (int64_t i = 0; i < tokens; ++i)
    prompt.tokens.push_back(static_cast<int32_t>(draw() % static_cast<uint32_t>(vocab)));
  return prompt;
}

}  // namespace kvtoll::studies
