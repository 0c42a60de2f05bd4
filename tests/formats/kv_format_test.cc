// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/formats/kv_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kvtoll {
namespace {

using testing::HasSubstr;

std::string error_of(std::string_view spec) {
  auto policy = KvPolicy::parse(spec);
  if (policy) return "no error";
  EXPECT_EQ(policy.error().kind, ErrorKind::kUsage);
  return policy.error().message;
}

TEST(KvFormat, DefaultsAreTheLibrarys) {
  for (const char* name :
       {"int8-hqq", "int4-hqq", "int3-hqq", "int2-hqq", "int1-hqq", "int4-quanto", "int2-quanto"}) {
    auto format = KvFormat::parse(name);
    ASSERT_TRUE(format) << name;
    EXPECT_EQ(format->axis, 0);
    EXPECT_EQ(format->group, 64);
    EXPECT_EQ(format->bits, name[3] - '0');
    EXPECT_EQ(format->solver, HqqSolver::kFp16);
    EXPECT_FALSE(format->residual);
    EXPECT_EQ(format->to_string(), name);
  }
  EXPECT_EQ(KvFormat::parse("bf16")->dtype, DType::kBF16);
}

TEST(KvFormat, OptionsAndTheirSpelling) {
  auto format = KvFormat::parse("int8-hqq:axis=1,group=32,solver=fp32,residual=64");
  ASSERT_TRUE(format) << format.error().message;
  EXPECT_EQ(format->axis, 1);
  EXPECT_EQ(format->group, 32);
  EXPECT_EQ(format->solver, HqqSolver::kFp32);
  EXPECT_EQ(format->residual, 64);
  EXPECT_EQ(format->to_string(), "int8-hqq:group=32,axis=1,residual=64,solver=fp32");
  EXPECT_EQ(*KvFormat::parse(format->to_string()), *format);
  EXPECT_EQ(KvFormat::parse("int4-quanto:axis=-1")->axis, -1);
}

TEST(KvPolicy, KeysValuesAndOverrides) {
  auto policy =
      KvPolicy::parse("int8-hqq:axis=1/int4-quanto@0,-1=fp16@2-3,-3--2=int2-quanto@3=bf16");
  ASSERT_TRUE(policy) << policy.error().message;
  auto layers = policy->resolve(8);
  ASSERT_TRUE(layers) << layers.error().message;
  EXPECT_EQ((*layers)[1].key.name, "int8-hqq");
  EXPECT_EQ((*layers)[1].value.name, "int4-quanto");
  EXPECT_EQ((*layers)[0].key.name, "fp16");
  EXPECT_EQ((*layers)[7].value.name, "fp16");
  EXPECT_EQ((*layers)[2].key.name, "int2-quanto");
  EXPECT_EQ((*layers)[3].key.name, "bf16") << "later overrides win";
  EXPECT_EQ((*layers)[5].key.name, "int2-quanto");
  EXPECT_EQ((*layers)[6].key.name, "int2-quanto");
  EXPECT_TRUE(policy->base().quantized());
  EXPECT_FALSE(KvPolicy::parse("fp16/bf16")->base().quantized());
  EXPECT_TRUE(KvPolicy::parse("fp16/int4-quanto")->base().quantized());
}

TEST(KvPolicy, LayersOutOfRange) {
  auto policy = KvPolicy::parse("fp16@4=bf16");
  ASSERT_TRUE(policy);
  EXPECT_TRUE(policy->resolve(5));
  auto few = policy->resolve(4);
  ASSERT_FALSE(few);
  EXPECT_EQ(few.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(few.error().message, HasSubstr("layer 4 is outside 0..3"));
  EXPECT_FALSE(KvPolicy::parse("fp16@-5=bf16")->resolve(4));
  EXPECT_FALSE(KvPolicy::parse("fp16@3-1=bf16")->resolve(4)) << "empty range";
}

TEST(KvPolicy, ErrorsSayWhatToDo) {
  EXPECT_THAT(error_of("int4-quato"), HasSubstr("did you mean 'int4-quanto'"));
  EXPECT_THAT(error_of("int8-hhq"), HasSubstr("did you mean 'int8-hqq'"));
  EXPECT_THAT(error_of("something-else-entirely"), testing::Not(HasSubstr("did you mean")));
  EXPECT_THAT(error_of("q8_0"), HasSubstr("not built"));
  EXPECT_THAT(error_of("int4-prebias"), HasSubstr("int4-quanto"));
  EXPECT_THAT(error_of(""), HasSubstr("missing"));
  EXPECT_THAT(error_of("fp16/"), HasSubstr("missing"));
  EXPECT_THAT(error_of("fp16/fp16/fp16"), HasSubstr("at most one '/'"));
  EXPECT_THAT(error_of("fp16:group=64"), HasSubstr("no option 'group'"));
  EXPECT_THAT(error_of("int4-quanto:solver=fp16"), HasSubstr("group, axis, residual"));
  EXPECT_THAT(error_of("int4-quanto:axis=1"), HasSubstr("axis 0 or -1"));
  EXPECT_THAT(error_of("int4-hqq:axis=-1"), HasSubstr("axis 0 or 1"));
  for (const char* group : {"0", "-64", "64x", "", "99999999999999999999", "1e3"})
    EXPECT_THAT(error_of(std::string("int4-hqq:group=") + group), HasSubstr("whole number"));
  EXPECT_THAT(error_of("int4-hqq:residual=none"), HasSubstr("residual=1"));
  EXPECT_THAT(error_of("int4-hqq:solver=fp64"), HasSubstr("fp16"));
  EXPECT_THAT(error_of("int4-hqq:group"), HasSubstr("option=value"));
  EXPECT_THAT(error_of("fp16@0"), HasSubstr("LAYERS=FORMAT"));
  for (const char* layers : {"", "x", "1-", "1-2-3", "1,,2", "--1"})
    EXPECT_THAT(error_of("fp16@" + std::string(layers) + "=bf16"), HasSubstr("layers"));
}

TEST(KvFormats, TheRegistryIsComplete) {
  EXPECT_EQ(kv_formats().size(), 10u);
  for (const KvFormatInfo& info : kv_formats()) {
    EXPECT_TRUE(KvFormat::parse(info.name)) << info.name;
    EXPECT_GT(info.bits_per_value, 1.0);
  }
}

}  // namespace
}  // namespace kvtoll
