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

TEST(Study, AKnownModelGetsAnotherSource) {
  auto study = parse_study(kGood, "s", "s.toml");
  EXPECT_TRUE(study->set_models({"m=/a/b=c"}));
  EXPECT_EQ(study->models[0].source, "/a/b=c");
  auto demo = load_study("demo");
  EXPECT_TRUE(demo->set_models({"scribe=/x"}));
  EXPECT_THAT(demo->models, ElementsAre(StudyModel{"scribe", "/x"},
                                        StudyModel{"scribe-outlier", "models/scribe-outlier"}));
  EXPECT_THAT(demo->set_models({"scribe=/x", "qwen=/a"}).error().message,
              HasSubstr("no model \"qwen\""));
  EXPECT_THAT(demo->set_models({"scribes=/x"}).error().message, HasSubstr("did you mean"));
}

TEST(Study, UnknownModelsTakeTheStudysPlaces) {
  auto study = parse_study(kGood, "s", "s.toml");
  EXPECT_TRUE(study->set_models({"synthetic:tiny:seed=2"}));
  EXPECT_THAT(study->models, ElementsAre(StudyModel{"tiny", "synthetic:tiny:seed=2"}));
  auto core = load_study("core");
  EXPECT_TRUE(core->set_models({"q=/a"}));
  EXPECT_THAT(core->models, ElementsAre(StudyModel{"q", "/a"}));
  for (const MatrixPart& part : core->matrix)
    if (!part.models.empty()) EXPECT_THAT(part.models, ElementsAre("q"));
  auto two = load_study("core");
  const std::string swept = two->matrix[1].models.at(0);
  const bool second = two->models[1].name == swept;
  EXPECT_TRUE(two->set_models({"a=/a", "b=/b"}));
  EXPECT_THAT(two->matrix[1].models, ElementsAre(second ? "b" : "a"));
  EXPECT_THAT(two->set_models({"u=/1", "v=/2", "w=/3"}).error().message, HasSubstr("2 models"));
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
