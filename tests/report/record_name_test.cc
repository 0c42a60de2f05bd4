// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/record_name.h"

#include <gtest/gtest.h>

namespace kvtoll::report {
namespace {

TEST(RecordName, DefaultsAreNotInTheName) {
  EXPECT_EQ(record_file_name({"m", "fp16", 256}), "m.fp16.n256.r128.cpu.json");
  EXPECT_EQ(record_file_name({"qwen2.5-7b", "int8-hqq", 2048, 32, 8, 64, "hf"}),
            "qwen2.5-7b.int8-hqq.n2048.r32.b8.p64.hf.json");
}

TEST(RecordName, EncodesWhatFileSystemsAndShellsDislike) {
  EXPECT_EQ(record_file_name({"a/b c", "int4-quanto:group=32@0,-1=fp16", 1}),
            "a%2Fb%20c.int4-quanto%3Agroup=32%400,-1=fp16.n1.r128.cpu.json");
  EXPECT_EQ(percent_encode("%"), "%25");
  EXPECT_EQ(percent_encode("\xC3\xA9"), "%C3%A9");
}

TEST(RecordName, LongPartsAreHashedAndStayDistinct) {
  const std::string a(400, 'x'), b = a + "y";
  const std::string name = record_file_name({"m", a, 1});
  EXPECT_LT(name.size(), 255u);
  EXPECT_NE(name, record_file_name({"m", b, 1}));
}

TEST(RecordName, PathsByBackendAttentionAndLaunch) {
  EXPECT_EQ(record_path("cpu", "materialize", "eager"), "cpu");
  EXPECT_EQ(record_path("cuda", "materialize", "eager"), "hf");
  EXPECT_EQ(record_path("cuda", "materialize", "graph"), "materialize-graph");
  EXPECT_EQ(record_path("cuda", "fused", "eager"), "fused-eager");
  EXPECT_EQ(record_path("cuda", "fused", "graph"), "fused");
}

}  // namespace
}  // namespace kvtoll::report
