// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Seeded mutations of real answers: whatever comes, grading ends, does not crash, and calls an
// answer equal to itself. The sanitizer build runs the same test.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "kvtoll/core/rng.h"
#include "quality/grading/grade_anything.h"

namespace kvtoll {
namespace {

constexpr std::array<std::string_view, 28> kSeeds = {
    "\\left( 3, \\frac{\\pi}{2} \\right)",
    "\\frac{14}{3}",
    "\\text{Evelyn}",
    "90^\\circ",
    "3\\sqrt{13}",
    "1 \\pm \\sqrt{19}",
    "\\begin{pmatrix} -1/3 \\\\ 2/3 \\end{pmatrix}",
    "x \\in [-2,7]",
    "(-\\infty, 2) \\cup (3, \\infty)",
    "\\{1\\pm\\sqrt{5},-2\\}",
    "4210_{5}",
    "11,\\! 111,\\! 111,\\! 100",
    "864 \\mbox{ inches}^2",
    "137 \\frac{1}{2}",
    "\\$18.90",
    "5x - 7y + 11z + 4 = 0",
    "y = -\\frac{1}{2}x+\\frac{3}{4}",
    "\\tan^2(y)+1",
    "12:00",
    "\\sqrt[3]{x}^2",
    "|x-3|^{2/3}!",
    "\\log_2 8 + \\ln e",
    "6.72 \\times 10^{-5}",
    "28\\%",
    "x<2 \\text{ or } x>3",
    "\\mathbb{R} \\setminus \\{3\\}",
    "0.1\\overline{6}",
    "2^{x^{y}}"};
constexpr std::array<std::string_view, 36> kPieces = {"\\frac",
                                                      "{",
                                                      "}",
                                                      "(",
                                                      ")",
                                                      "[",
                                                      "]",
                                                      "^",
                                                      "_",
                                                      "\\sqrt",
                                                      "\\text{",
                                                      "\\pm",
                                                      "|",
                                                      "!",
                                                      "-",
                                                      "+",
                                                      "/",
                                                      "*",
                                                      ",",
                                                      "=",
                                                      "<",
                                                      "\\le",
                                                      "\\begin{pmatrix}",
                                                      "\\end{pmatrix}",
                                                      "\\\\",
                                                      "&",
                                                      "99",
                                                      "9^9",
                                                      ".",
                                                      "$",
                                                      "%",
                                                      "\\overline{",
                                                      "x",
                                                      "sin",
                                                      "\xe2\x88\x92",
                                                      "\xff"};

std::string mutate(std::string s, Rng& rng) {
  const int edits = static_cast<int>(rng.between(1, 6));
  for (int i = 0; i < edits; ++i) {
    const size_t at = rng.below(s.size() + 1);
    switch (rng.below(5)) {
      case 0:
        s.insert(at, kPieces[rng.below(kPieces.size())]);
        break;
      case 1:
        s.erase(at, rng.below(4));
        break;
      case 2:
        s += kSeeds[rng.below(kSeeds.size())];
        break;
      case 3:  // a stretch again and again
        for (const std::string part = s.substr(at, 6); s.size() < 300 && !part.empty();) {
          s.insert(at, part);
          if (rng.below(4) == 0) break;
        }
        break;
      default:
        if (!s.empty()) s[rng.below(s.size())] = static_cast<char>(rng.below(256));
    }
  }
  return s;
}

TEST(Fuzz, GradingAlwaysEnds) {
  constexpr uint64_t kSeed = 20261124;
  Rng rng(kSeed);
  for (int i = 0; i < 3000; ++i) {
    const std::string gold(kSeeds[rng.below(kSeeds.size())]);
    const std::string pred = mutate(gold, rng);
    SCOPED_TRACE("seed " + std::to_string(kSeed) + ", round " + std::to_string(i));
    kvtoll::testing::grade_anything(gold, pred);
  }
}

TEST(Fuzz, TheNearestAnswersDiffer) {
  // One digit changed is another answer, under every policy.
  Rng rng(7);
  for (int i = 0; i < 300; ++i) {
    std::string gold(kSeeds[rng.below(kSeeds.size())]), pred = gold;
    const size_t at = pred.find_first_of("23456789");
    if (at == pred.npos) continue;
    pred[at] = pred[at] == '9' ? '7' : static_cast<char>(pred[at] + 1);
    EXPECT_FALSE(grade(gold, pred).strict) << gold << " | " << pred;
  }
}

}  // namespace
}  // namespace kvtoll
