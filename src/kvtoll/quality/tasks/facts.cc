// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/tasks/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "kvtoll/core/rng.h"

namespace kvtoll {
namespace {

constexpr uint64_t kWorldSeed = 2026;
constexpr std::array<std::string_view, kFactRelations> kRelationNames = {"capital", "river",
                                                                         "metal"};
constexpr std::array<std::string_view, 20> kStarts = {
    "Bal", "Cor", "Dra",  "Fen", "Gor", "Hal", "Jin", "Kel", "Lor", "Mar",
    "Nol", "Pra", "Quil", "Ras", "Sil", "Tor", "Ul",  "Ver", "Wyn", "Zan"};
constexpr std::array<std::string_view, 16> kMiddles = {
    "a", "e", "i", "o", "u", "ad", "el", "im", "on", "ur", "ak", "es", "iv", "or", "un", "at"};
// Countries, capitals, rivers and metals end differently, so that a name tells its kind.
constexpr std::array<std::string_view, 4> kEnds[] = {{"via", "land", "nia", "stan"},
                                                     {"grad", "ton", "polis", "burg"},
                                                     {"wen", "sha", "lune", "mere"},
                                                     {"ium", "ite", "ine", "ore"}};

std::vector<std::string> names(Rng& rng, int kind) {
  std::set<std::string> seen;
  std::vector<std::string> out;
  while (static_cast<int>(out.size()) < kFactCountries) {
    std::string name(kStarts[rng.below(kStarts.size())]);
    name += kMiddles[rng.below(kMiddles.size())];
    name += kEnds[kind][rng.below(kEnds[kind].size())];
    if (seen.insert(name).second) out.push_back(name);
  }
  return out;
}

struct Question {
  int country, relation;
  std::array<int, 4> options;  // countries whose value is offered
  int right;                   // place of the right one
};

Question draw_question(uint64_t seed, uint64_t draw) {
  Rng rng(seed, mix64(draw ^ 0xfac75ull));
  Question q{static_cast<int>(rng.below(kFactCountries)),
             static_cast<int>(rng.below(kFactRelations)),
             {},
             0};
  q.right = static_cast<int>(rng.below(4));
  for (int i = 0; i < 4; ++i) {
    auto taken = [&](int c) {
      return c == q.country ||
             std::find(q.options.begin(), q.options.begin() + i, c) != q.options.begin() + i;
    };
    if (i == q.right) {
      q.options[i] = q.country;
      continue;
    }
    do q.options[i] = static_cast<int>(rng.below(kFactCountries));
    while (taken(q.options[i]));
  }
  return q;
}

uint64_t question_hash(const Question& q) {
  uint64_t hash = mix64(static_cast<uint64_t>(q.country * kFactRelations + q.relation));
  for (int option : q.options) hash = mix64(hash ^ static_cast<uint64_t>(option));
  return hash;
}

}  // namespace

const FactWorld& fact_world() {
  static const FactWorld world = [] {
    Rng rng(kWorldSeed);
    FactWorld w{names(rng, 0), {}};
    for (int r = 0; r < kFactRelations; ++r) w.relations.push_back(names(rng, r + 1));
    return w;
  }();
  return world;
}

std::string fact_statement(int country, int relation) {
  const FactWorld& w = fact_world();
  return fmt::format("The {} of {} is {}.", kRelationNames[relation], w.countries[country],
                     w.relations[relation][country]);
}

std::vector<TaskItem> facts_items(TaskSplit split, int count, uint64_t seed) {
  const FactWorld& w = fact_world();
  std::set<uint64_t> seen;
  std::vector<TaskItem> items;
  for (uint64_t draw = 0; static_cast<int>(items.size()) < count; ++draw) {
    const Question q = draw_question(seed, draw);
    const uint64_t hash = question_hash(q);
    if (split_of_hash(hash) != split || !seen.insert(hash).second) continue;
    const std::vector<std::string>& values = w.relations[q.relation];
    const std::string letter(1, static_cast<char>('A' + q.right));
    items.push_back(
        {fmt::format("facts-{}-{}-{}", task_split_name(split), seed, items.size()), 0,
         fmt::format("What is the {} of {}?\nA. {}\nB. {}\nC. {}\nD. {}\nAnswer with one letter.",
                     kRelationNames[q.relation], w.countries[q.country], values[q.options[0]],
                     values[q.options[1]], values[q.options[2]], values[q.options[3]]),
         letter, letter});
  }
  return items;
}

}  // namespace kvtoll
