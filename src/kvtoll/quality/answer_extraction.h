// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The answer inside a reply. A reply that reasons is read behind its last </think>; the last
// \boxed{...} there is the answer, else "final answer is ...", "Answer: ...", else the last number.
// Example: extract_answer("<think>..</think> So \\boxed{\\frac12}.", false).text == "\\frac12"
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kvtoll {

// Content of the last \boxed or \fbox: braces matched, or "\boxed X" up to "$" or the line's end.
// An unclosed brace does not count.
std::optional<std::string> last_boxed(std::string_view text);

struct ExtractedAnswer {
  std::string text;           // empty if there is none
  std::string method;         // "boxed", "final answer", "answer:", "last number", "none"
  bool thought_open = false;  // reasoning that never ended: whatever stands there is no answer
};

// thinking: the prompt already opened <think>.
ExtractedAnswer extract_answer(std::string_view reply, bool thinking);

// The letter a reply to a choice question gives: "Answer: B", "(B)", "B.", "\boxed{B}", or a reply
// that starts with the letter. Empty if there is none.
std::string extract_letter(std::string_view reply);

}  // namespace kvtoll
