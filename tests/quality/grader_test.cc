// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/quality/grader.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kvtoll/quality/grade_pairs.h"

namespace kvtoll {
namespace {

struct Pair {
  const char* gold;
  const char* pred;
  bool equal;
};

class Lenient : public testing::TestWithParam<Pair> {};

TEST_P(Lenient, Verdict) {
  const Pair& pair = GetParam();
  const GradeReport report = explain_grade(pair.gold, pair.pred);
  EXPECT_EQ(report.grade.lenient, pair.equal)
      << pair.gold << " | " << pair.pred << "\n  " << report.gold_tree << "\n  " << report.pred_tree
      << "\n  " << report.reason;
}

// Pairs written by hand against the grader: notations of one value, and near misses.
TEST(Grader, PairsOfTheDataFile) {
  std::ifstream file(KVTOLL_TEST_DATA "/quality/lenient_pairs.jsonl");
  int rows = 0;
  for (std::string line; std::getline(file, line); ++rows) {
    const auto row = nlohmann::json::parse(line);
    const std::string gold = row.at("gold"), pred = row.at("pred");
    const GradeReport report = explain_grade(gold, pred);
    EXPECT_EQ(report.grade.lenient, row.at("equal").get<bool>())
        << gold << " | " << pred << "\n  " << report.gold_tree << "\n  " << report.pred_tree;
  }
  EXPECT_GT(rows, 300);
}

INSTANTIATE_TEST_SUITE_P(
    Numbers, Lenient,
    testing::Values(
        Pair{"7425000", "7,425,000", true}, Pair{"10,\\!080", "10080", true},
        Pair{"11,\\! 111,\\! 111,\\! 100", "11111111100", true}, Pair{"58,500", "58500", true},
        Pair{"58{,}500", "58500", true}, Pair{"1000", "1000.0", true},
        Pair{".0000672", "6.72 \\times 10^{-5}", true}, Pair{"6.72e-5", ".0000672", true},
        Pair{"1\\frac{4}{5}", "\\frac{9}{5}", true}, Pair{"137 \\frac{1}{2}", "137.5", true},
        Pair{"7 3/4", "7.75", true}, Pair{"-1\\frac12", "-1.5", true},
        Pair{"\\frac{1}{3}", "0.\\overline{3}", true}, Pair{"0.1\\overline{6}", "1/6", true},
        Pair{"\\frac{1}{12}", "0.0833333333333333", true}, Pair{"\\frac13", "0.33", false},
        Pair{"\\frac{1}{8}", "0.1250001", false}, Pair{"100", "100.5", false},
        Pair{"0.15", "0.16", false}, Pair{"\\frac 59", "5/9", true},
        Pair{"\\frac9{19}", "\\frac{9}{19}", true}, Pair{"-\\frac{35}{9}", "\\frac{-35}{9}", true},
        Pair{"2^{10}", "1024", true}, Pair{"5!", "120", true}, Pair{"\\binom{5}{2}", "10", true},
        Pair{"two", "2", true}, Pair{"1 000 000", "1000000", true},
        Pair{"10^{400}", "10^{401}", false}, Pair{"3", "-3", false}, Pair{"−3", "-3", true}));

INSTANTIATE_TEST_SUITE_P(Bases, Lenient,
                         testing::Values(Pair{"52_8", "52_{8}", true},
                                         Pair{"2516_8", "2516_{\\text{eight}}", true},
                                         Pair{"52_8", "42", true}, Pair{"52_8", "52_9", false},
                                         Pair{"4210_{5}", "4210_5", true},
                                         Pair{"1A_{16}", "26", true}, Pair{"x_1", "x_2", false}));

INSTANTIATE_TEST_SUITE_P(
    Symbolic, Lenient,
    testing::Values(
        Pair{"3\\sqrt{13}", "\\sqrt{117}", true}, Pair{"\\sqrt{51}", "7.14142842854285", true},
        Pair{"\\sqrt{51}", "7.14", false}, Pair{"\\frac{\\sqrt3}{3}", "\\frac{1}{\\sqrt{3}}", true},
        Pair{"x^2+2x+1", "(x+1)^2", true}, Pair{"x^2+2x+1", "y^2+2y+1", false},
        Pair{"\\tan^2(y)+1", "\\sec^2(y)", true}, Pair{"6 - 5i", "-5i+6", true},
        Pair{"6-5i", "6+5i", false}, Pair{"\\cot x", "\\frac{\\cos x}{\\sin x}", true},
        Pair{"\\cot x", "x", false}, Pair{"1-\\frac1e", "1+\\frac1{\\mathrm{e}}", false},
        Pair{"f(x)", "f(y)", false},
        Pair{"\\frac{1}{3\\sqrt[3]{x}^2}", "\\frac{1}{3x^{2/3}}", true}, Pair{"|x|", "x", false},
        Pair{"\\sqrt{x^2}", "|x|", true}, Pair{"3R^2", "3r^2", false},
        Pair{"\\sin 30^\\circ", "\\frac12", true}, Pair{"\\log_2 8", "3", true},
        Pair{"\\frac{20000}{\\pi}", "20000/\\pi", true}, Pair{"\\pi", "3.14", false},
        Pair{"\\frac{x}{7}+\\frac{2}{7}", "\\frac{x+2}{7}", true},
        Pair{"(a+5)(b+2)", "(+5)(b+2)", false}, Pair{"30x\\sqrt{x}", "30\\sqrt{x^3}", true},
        Pair{"e^{i\\pi}", "-1", true}, Pair{"\\theta", "\\alpha", false},
        Pair{"2k+2", "2(k+1)", true},
        Pair{"\\frac{11+9a}{20}", "\\frac{9a}{20}+\\frac{11}{20}", true},
        Pair{"288 \\pi", "288π", true}));

INSTANTIATE_TEST_SUITE_P(
    Collections, Lenient,
    testing::Values(Pair{"10, 4, -2", "4, 10, -2", true}, Pair{"3, 5, 7", "\\{7,5,3\\}", true},
                    Pair{"1,-2", "(1,-2)", false}, Pair{"19, 46, 82", "19, 46, and 82", true},
                    Pair{"1,-2", "x=1 \\text{ or } x=-2", true},
                    Pair{"1 \\pm \\sqrt{19}", "1-\\sqrt{19}, 1+\\sqrt{19}", true},
                    Pair{"\\pm 3", "3", false}, Pair{"\\pm 3", "-3, 3", true},
                    Pair{"\\{1\\pm\\sqrt{5},-2\\}", "-2, 1+\\sqrt5, 1-\\sqrt5", true},
                    Pair{"(6,31,-1)", "(6,31,1)", false},
                    Pair{"(15,-29)", "\\left(15, -29\\right)", true}, Pair{"(1,2)", "(2,1)", false},
                    Pair{"1,2", "1,2,3", false}, Pair{"(1,2)", "x=1, y=2", true},
                    Pair{"\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "[[1,2],[3,4]]", true},
                    Pair{"{5 \\choose 2}", "10", true}, Pair{"{1 \\over 2}", "0.5", true},
                    Pair{"100, 200", "100,200", true}, Pair{"n=1, 2, 3", "1,2,3", true},
                    Pair{"\\emptyset", "\\{\\}", true},
                    Pair{"\\begin{pmatrix} -2 \\\\ -14 \\\\ -7 \\end{pmatrix}",
                         "\\begin{bmatrix}-2\\\\-14\\\\-7\\end{bmatrix}", true},
                    Pair{"\\begin{pmatrix} 1 & 2 \\end{pmatrix}",
                         "\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", false},
                    Pair{"\\begin{pmatrix} 1/5 \\\\ -18/5 \\end{pmatrix}",
                         "(\\begin{pmatrix}0.2\\\\-3.6\\\\\\end{pmatrix})", true}));

INSTANTIATE_TEST_SUITE_P(
    Sets, Lenient,
    testing::Values(Pair{"[0,9)", "[0,1)", false}, Pair{"(0,9)", "[0,9)", false},
                    Pair{"x \\in [-2,7]", "[-2,7]", true}, Pair{"[-2,7]", "-2 \\le x \\le 7", true},
                    Pair{"(2,\\infty)", "x>2", true}, Pair{"(2,\\infty)", "x \\ge 2", false},
                    Pair{"(0,9) \\cup (9,36)", "(9,36)\\cup(0,9)", true},
                    Pair{"(-\\infty, 2) \\cup (3, \\infty)", "x<2 \\text{ or } x>3", true},
                    Pair{"\\left(\\frac{3}{5},\\frac{8}{3}\\right]", "(0.6, \\frac83]", true},
                    Pair{"(1,3)", "x>1 \\text{ and } x<3", true},
                    Pair{"\\mathbb{R} \\setminus \\{3\\}", "(-\\infty,3)\\cup(3,\\infty)", true},
                    Pair{"x \\ne 3", "(-\\infty,3)\\cup(3,\\infty)", true},
                    Pair{"(-\\infty, 0]", "(-\\infty, 0)", false},
                    Pair{"(-\\sqrt{3}, \\sqrt{3})", "-\\sqrt3 < x < \\sqrt3", true}));

INSTANTIATE_TEST_SUITE_P(
    Relations, Lenient,
    testing::Values(Pair{"x \\leq 5", "5 \\geq x", true}, Pair{"x \\leq 5", "x \\ge 5", false},
                    Pair{"11", "x=11", true},
                    Pair{"5x - 7y + 11z + 4 = 0", "-10x+14y-22z = 8", true},
                    Pair{"5x - 7y + 11z + 4 = 0", "5x-7y+11z-4=0", false},
                    Pair{"y = 2x + 3", "2x - y + 3 = 0", true}, Pair{"y = 2x + 3", "2x+3", true},
                    Pair{"7 = 11a+c", "11a+c", false}, Pair{"y = \\frac{1}{x}", "xy = 1", true},
                    Pair{"x^2=4", "x=2", false}, Pair{"(x-2)^2=0", "x=2", true},
                    Pair{"xy=1", "xy=2", false}, Pair{"x=5", "y=5", false},
                    Pair{"D = (0, 1)", "D = (0, 1.5)", false}, Pair{"2x < 6", "x < 3", true},
                    Pair{"\\frac{x^2}{4}+\\frac{y^2}{9}=1", "9x^2+4y^2=36", true},
                    Pair{"x=3", "AB = 2+1 = 3", false}, Pair{"3", "AB = 2+1 = 3", true},
                    Pair{"\\sqrt{2}", "x = \\sqrt{2} \\approx 1.41", true}));

INSTANTIATE_TEST_SUITE_P(
    UnitsAndText, Lenient,
    testing::Values(
        Pair{"90^\\circ", "90", true}, Pair{"72", "72 degrees", true},
        Pair{"64", "64 square feet", true},
        Pair{"15\\mbox{ cm}^2", "15 \\text{ square centimeters}", true},
        Pair{"864 \\mbox{ inches}^2", "864", true}, Pair{"5.4 \\text{ cents}", "5.4", true},
        Pair{"\\$18.90", "18.9", true}, Pair{"\\$36", "36 dollars", true},
        Pair{"5 \\text{ cm}", "5 \\text{ m}", false}, Pair{"100 \\text{ cm}", "1 \\text{ m}", true},
        Pair{"10\\%", "10", true}, Pair{"10\\%", "0.1", true}, Pair{"28\\%", "28 percent", true},
        Pair{"10\\%", "1", false}, Pair{"\\frac{270}7\\text{ degrees}", "\\frac{270}{7}", true},
        Pair{"12 \\mathrm{~km}", "12 km", true},
        Pair{"1.5 \\text{ million dollars}", "\\$1500000", true},
        Pair{"3 \\pmod{7}", "3 \\pmod 7", true}, Pair{"\\text{Evelyn}", "Evelyn", true},
        Pair{"\\text{(C)}", "C", true}, Pair{"\\text{(C)}", "\\textbf{(C)}", true},
        Pair{"\\text{(C)}", "(B)", false}, Pair{"\\text{even}", "odd", false},
        Pair{"\\text{even}", "neve", false}, Pair{"\\text{east}", "\\text{East.}", true},
        Pair{"12:00", "1:00", false}, Pair{"1:2", "2:4", true}, Pair{"$\\frac12$", "0.5.", true},
        Pair{"$\\frac{5}{6}$ hours", "5/6", true}, Pair{"\\boxed{7}", "7", true},
        Pair{"5", "The answer is $5$", true}, Pair{"", "", false}, Pair{"5", "", false},
        Pair{"\\int x dx", "\\int -x dx", false}));

TEST(Strict, IsTheNormalFormOfTheMathDataset) {
  EXPECT_TRUE(grade("\\tfrac83", "\\frac{8}{3}").strict);
  EXPECT_TRUE(grade("0.5", "\\frac12").strict);
  EXPECT_TRUE(grade("7 = 11a+c", "11a+c").strict);
  EXPECT_TRUE(grade("\\sqrt3", "\\sqrt{3}").strict);
  EXPECT_FALSE(grade("7425000", "7,425,000").strict);
  EXPECT_FALSE(grade("-10/9", "-\\frac{10}{9}").strict);
  EXPECT_FALSE(grade("\\frac", "\\frac ").strict);  // raises there: raw strings
  EXPECT_TRUE(grade("\\frac", "\\frac").strict);
}

TEST(Prm800k, WantsReducedFractionsAndWholeNumbers) {
  EXPECT_FALSE(grade("2/3", "4/6").prm800k);
  EXPECT_FALSE(grade("4", "\\frac{8}{2}").prm800k);
  EXPECT_TRUE(grade("72", "72 degrees").prm800k);
  EXPECT_TRUE(grade("7425000", "7,425,000").prm800k);
  EXPECT_TRUE(grade("(1,\\frac{9}{2})", "(1,4.5)").prm800k);
  EXPECT_FALSE(grade("(0,9)", "[0,9)").prm800k);
  EXPECT_FALSE(grade("x+y+z", "z+y+x").prm800k);  // more than two letters
}

TEST(GradePairs, AgreesWithTheSharedFileWhereThereIsOne) {
  const std::filesystem::path file =
      std::filesystem::path(KVTOLL_SOURCE_DIR) / "../shared/data/equiv_pairs.jsonl";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not here";
  const auto summary = grade_pairs(file, false);
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_GE(summary->pairs, 40);
  EXPECT_EQ(summary->disagreements, 0) << summary->lines;
}

TEST(Bounds, DeepLongAndHostileInputsEnd) {
  const std::string deep(3000, '('), braces(3000, '{');
  std::string roots, powers = "2", many = "1";
  for (int i = 0; i < 700; ++i) roots += "\\sqrt";
  for (int i = 0; i < 40; ++i) powers += "^9";
  for (int i = 2; i < 900; ++i) many += "," + std::to_string(i);
  for (const std::string& s :
       {deep, braces, roots, powers, many, std::string(100000, '9'), std::string("9^9^9^9!"),
        std::string("(x+1)^{399}(y+1)^{399}"), std::string("\\pm\\pm\\pm\\pm\\pm\\pm\\pm\\pm 1"),
        std::string("\\"), std::string("\xff\xfe\\frac"), std::string("1e999")}) {
    EXPECT_TRUE(grade(s, s).strict);
    grade(s, "1");
    grade("\\frac12", s);
    grade(s + "x", s + "y");
  }
}

}  // namespace
}  // namespace kvtoll
