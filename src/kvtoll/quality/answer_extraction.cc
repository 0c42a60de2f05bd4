// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/answer_extraction.h"

#include <algorithm>

#include "kvtoll/quality/grading/text_tools.h"

namespace kvtoll {
namespace {

constexpr std::string_view kThinkOpen = "<think>", kThinkClose = "</think>";

std::optional<std::string> boxed_at(std::string_view text, size_t behind_name) {
  size_t at = behind_name;
  while (at < text.size() && text[at] == ' ') ++at;
  if (at >= text.size()) return std::nullopt;
  if (text[at] == '{') {
    const size_t close = matching_brace(text, at);
    if (close == text.npos) return std::nullopt;
    return std::string(trim(text.substr(at + 1, close - at - 1)));
  }
  if (is_letter(text[at]) && at == behind_name) return std::nullopt;  // \boxedsomething
  const size_t end = std::min(text.find_first_of("$\n", at), text.size());
  const std::string_view content = trim(text.substr(at, end - at));
  return content.empty() ? std::nullopt : std::optional<std::string>(content);
}

// The rest of the line behind the last `marker`, any case.
std::optional<std::string> behind_last(std::string_view text, std::string_view lower,
                                       std::string_view marker) {
  const size_t at = lower.rfind(marker);
  if (at == lower.npos) return std::nullopt;
  std::string_view rest = text.substr(at + marker.size());
  rest = trim(rest.substr(0, rest.find('\n')));
  while (!rest.empty() && (rest[0] == ':' || rest[0] == '*' || rest[0] == ' '))
    rest.remove_prefix(1);
  // A sentence behind it ("... is 5. I hope it is correct.") does not belong to the answer.
  for (std::string_view stop : {". I hope", ". Hence", ". Therefore", ". So "})
    rest = rest.substr(0, rest.find(stop));
  while (rest.ends_with('.') || rest.ends_with('*')) rest.remove_suffix(1);
  return rest.empty() ? std::nullopt : std::optional<std::string>(trim(rest));
}

std::optional<std::string> last_number(std::string_view text) {
  size_t end = text.size();
  while (end > 0 && !is_digit(text[end - 1])) --end;
  if (end == 0) return std::nullopt;
  size_t begin = end;
  auto belongs = [&](size_t i) {
    if (is_digit(text[i])) return true;
    const bool inner = text[i] == '.' || text[i] == ',' || text[i] == '/';
    return inner && i > 0 && is_digit(text[i - 1]) && is_digit(text[i + 1]);
  };
  while (begin > 0 && belongs(begin - 1)) --begin;
  if (begin > 0 && text[begin - 1] == '-' && (begin == 1 || !is_digit(text[begin - 2]))) --begin;
  return std::string(text.substr(begin, end - begin));
}

bool is_choice(char c) { return c >= 'A' && c <= 'D'; }

// A letter A-D at `at` that is no part of a word.
bool lone_choice(std::string_view text, size_t at) {
  if (!is_choice(text[at])) return false;
  const bool before = at > 0 && (is_letter(text[at - 1]) || is_digit(text[at - 1]));
  const bool after = at + 1 < text.size() &&
                     (is_letter(text[at + 1]) || is_digit(text[at + 1]) || text[at + 1] == '\'');
  return !before && !after;
}

}  // namespace

std::optional<std::string> last_boxed(std::string_view text) {
  size_t limit = text.npos;
  while (true) {
    const size_t boxed = text.rfind("\\boxed", limit), framed = text.rfind("\\fbox", limit);
    size_t at = boxed;
    if (at == text.npos || (framed != text.npos && framed > at)) at = framed;
    if (at == text.npos) return std::nullopt;
    if (auto content = boxed_at(text, at + (at == boxed ? 6 : 5))) return content;
    if (at == 0) return std::nullopt;
    limit = at - 1;
  }
}

ExtractedAnswer extract_answer(std::string_view reply, bool thinking) {
  const size_t close = reply.rfind(kThinkClose), open = reply.rfind(kThinkOpen);
  if (close == reply.npos) {
    if (thinking || open != reply.npos) return {"", "none", true};
  } else {
    reply = reply.substr(close + kThinkClose.size());
  }
  if (auto boxed = last_boxed(reply)) return {*std::move(boxed), "boxed"};
  const std::string lower = lower_ascii(reply);
  for (std::string_view marker : {"final answer is", "answer is", "final answer:"})
    if (auto text = behind_last(reply, lower, marker)) return {*std::move(text), "final answer"};
  if (auto text = behind_last(reply, lower, "answer:")) return {*std::move(text), "answer:"};
  if (auto number = last_number(reply)) return {*std::move(number), "last number"};
  return {"", "none"};
}

std::string extract_letter(std::string_view reply) {
  if (const size_t close = reply.rfind(kThinkClose); close != reply.npos)
    reply = reply.substr(close + kThinkClose.size());
  if (const auto boxed = last_boxed(reply))
    for (size_t i = 0; i < boxed->size(); ++i)
      if (lone_choice(*boxed, i)) return std::string(1, (*boxed)[i]);
  const std::string lower = lower_ascii(reply);
  for (std::string_view marker : {"answer:", "answer is"}) {
    const size_t at = lower.rfind(marker);
    if (at == lower.npos) continue;
    // Behind the marker only signs may stand before the letter.
    for (size_t i = at + marker.size(); i < reply.size(); ++i) {
      if (lone_choice(reply, i)) return std::string(1, reply[i]);
      if (is_letter(reply[i]) || is_digit(reply[i])) break;
    }
  }
  const std::string_view start = trim(reply);
  for (size_t i = 0; i < std::min<size_t>(start.size(), 3); ++i) {
    if (lone_choice(start, i)) return std::string(1, start[i]);
    if (is_letter(start[i]) || is_digit(start[i])) break;
  }
  return {};
}

}  // namespace kvtoll
