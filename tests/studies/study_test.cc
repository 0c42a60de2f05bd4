// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/study.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvtoll::studies {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kGood = R"(title = "t"
runs = 1
[[model]]
name = "m"
source = "synthetic:tiny"
[[matrix]]
kv = "fp16"
new_tokens = [8]
)";

std::string error_of(const std::string& toml) {
  const auto study = parse_study(toml, "s", "s.toml");
  return study ? "no error" : study.error().message;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(Study, ReadsWhatIsThereAndDefaultsTheRest) {
  const auto study = parse_study(kGood, "s", "s.toml");
  ASSERT_TRUE(study) << study.error().message;
  EXPECT_EQ(study->warmups, 2);
  EXPECT_EQ(study->runs, 1);
  EXPECT_EQ(study->order, Order::kInterleaved);
  EXPECT_THAT(study->matrix[0].kv, ElementsAre("fp16"));
  EXPECT_THAT(study->matrix[0].residual, ElementsAre(128));
}

TEST(Study, UnknownKeysAreNamedWithLineAndSuggestion) {
  const std::string message = error_of(replaced(kGood, "new_tokens", "new_token"));
  EXPECT_THAT(message, HasSubstr("s.toml:8: unknown key \"new_token\""));
  EXPECT_THAT(message, HasSubstr("did you mean \"new_tokens\"?"));
  EXPECT_THAT(error_of(replaced(kGood, "runs", "rnus")), HasSubstr("s.toml:2:"));
}

TEST(Study, WrongValuesAreNamedWithLine) {
  EXPECT_THAT(error_of(replaced(kGood, "[8]", "[\"x\"]")), HasSubstr("s.toml:8: new_tokens must"));
  EXPECT_THAT(error_of(replaced(kGood, "[8]", "[]")), HasSubstr("not empty"));
  EXPECT_THAT(error_of(replaced(kGood, "[8]", "[-1]")), HasSubstr("at least 2"));
  EXPECT_THAT(error_of(replaced(kGood, "fp16", "fp61")), HasSubstr("s.toml:7: kv: "));
  EXPECT_THAT(error_of(replaced(kGood, "runs = 1", "order = \"x\"")), HasSubstr("order"));
  EXPECT_THAT(error_of(replaced(kGood, "runs = 1", "runs = 0")), HasSubstr("at least 1"));
  EXPECT_THAT(error_of(replaced(kGood, "[[matrix]]", "[matrix]")), HasSubstr("[[matrix]]"));
  EXPECT_THAT(error_of("title = "), HasSubstr("not TOML"));
  EXPECT_THAT(error_of(""), HasSubstr("no [[model]]"));
}

TEST(Study, BuiltInNamesLoadAndUnknownOnesSuggest) {
  for (const BuiltinStudy& builtin : builtin_studies()) {
    const auto study = load_study(std::string(builtin.name));
    EXPECT_TRUE(study) << study.error().message;
  }
  EXPECT_THAT(load_study("cor").error().message, HasSubstr("did you mean \"core\"?"));
  EXPECT_EQ(load_study("cor").error().kind, ErrorKind::kUsage);
  EXPECT_EQ(load_study("missing.toml").error().kind, ErrorKind::kInput);
}

TEST(Study, KvListsSplitOutsideSpecificationsOnly) {
  EXPECT_THAT(split_kv_list("fp16,int4-quanto"), ElementsAre("fp16", "int4-quanto"));
  EXPECT_THAT(split_kv_list("int4-quanto:group=32,axis=-1@0,-1=fp16,int8-hqq/fp16"),
              ElementsAre("int4-quanto:group=32,axis=-1@0,-1=fp16", "int8-hqq/fp16"));
  EXPECT_THAT(split_kv_list("a@0,2-5,-1=b, c,"), ElementsAre("a@0,2-5,-1=b", "c"));
}

TEST(Study, ModelOptionReplacesTheSource) {
  auto study = parse_study(kGood, "s", "s.toml");
  EXPECT_TRUE(study->set_model("m=/a/b=c"));
  EXPECT_EQ(study->models[0].source, "/a/b=c");
  EXPECT_TRUE(study->set_model("synthetic:tiny:seed=2"));
  EXPECT_EQ(study->models[0].source, "synthetic:tiny:seed=2");
  EXPECT_THAT(study->set_model("n=/a").error().message, HasSubstr("no model \"n\""));
}

TEST(Study, OptionsAloneMakeAStudy) {
  MatrixPart part;
  part.kv = {"fp16"};
  part.new_tokens = {8};
  const auto study = study_from_options({"m=/x", "synthetic:tiny:seed=1", "/models/y.gguf"}, part);
  ASSERT_TRUE(study) << study.error().message;
  EXPECT_EQ(study->models[1].name, "tiny");
  EXPECT_EQ(study->models[2].name, "y");
  EXPECT_EQ(study_from_options({}, part).error().kind, ErrorKind::kUsage);
  part.kv.clear();
  EXPECT_EQ(study_from_options({"m=/x"}, part).error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace kvtoll::studies
