// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/record_io.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "kvtoll/report/schema.h"
#include "support/sample_record.h"

namespace kvtoll::report {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

TEST(RecordIo, WrittenAndReadBackIsTheSame) {
  const RunRecord record = kvtoll::testing::sample_record();
  const auto folder = std::filesystem::path(::testing::TempDir()) / "record_io_test";
  const auto path = write_record(folder, record);
  ASSERT_TRUE(path) << path.error().message;
  EXPECT_EQ(path->filename(), "tiny.int4-quanto.n5.r128.cpu.json");
  const auto back = read_record(*path);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(record_text(*back), record_text(record));
  EXPECT_EQ(back->runs.size(), 3u);
  EXPECT_EQ(back->kernels[1].measured_dram_bytes, 1100);
  EXPECT_FALSE(back->environment.peak_gb_s.has_value());
  std::filesystem::remove_all(folder);
}

TEST(RecordIo, EveryWrittenFieldIsInTheSchemaAndTheReverse) {
  RunRecord record = kvtoll::testing::sample_record();
  const Json json = Json::parse(record_text(record));
  EXPECT_THAT(undescribed_fields(json), IsEmpty());
  for (const SchemaField& field : run_schema()) {  // each row's last name occurs in the file
    std::string name(field.path.substr(field.path.rfind('.') + 1));
    if (name == "*") continue;
    EXPECT_THAT(record_text(record), HasSubstr("\"" + name + "\"")) << field.path;
  }
}

TEST(RecordIo, FailedRecordNeedsNoMeasurement) {
  RunRecord record;
  record.status = Status::kOom;
  record.reason = "predicted 12 GB, 3 GB free";
  record.config.model = "m";
  const auto back = parse_record(record_text(record), "x.json");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->status, Status::kOom);
  EXPECT_EQ(back->reason, record.reason);
}

TEST(RecordIo, MissingAndMistypedFieldsAreNamed) {
  const Json good = Json::parse(record_text(kvtoll::testing::sample_record()));
  const auto message = [](const Json& json) {
    const auto result = parse_record(json.dump(), "x.json");
    return result ? std::string("no error") : result.error().message;
  };
  Json json = good;
  json["config"].erase("kv");
  EXPECT_THAT(message(json), HasSubstr("x.json: config.kv is missing"));
  json = good;
  json["runs"][1]["decode_ns"] = "fast";
  EXPECT_THAT(message(json), HasSubstr("runs[1].decode_ns is string, not integer"));
  json = good;
  json["categories"]["ffn"].erase("share");
  EXPECT_THAT(message(json), HasSubstr("categories.ffn.share is missing"));
  json = good;
  json["schema"] = "kvtoll.run/9";
  EXPECT_THAT(message(json), HasSubstr("kvtoll.run/9"));
  json = good;
  json["status"] = "fine";
  EXPECT_THAT(message(json), HasSubstr("status"));
  json = good;
  json["throughput"]["decode_tok_s"]["ci95"] = {1.0};  // two numbers are needed
  EXPECT_NE(message(json), "no error");
  EXPECT_THAT(parse_record(good.dump().substr(0, 300), "x.json").error().message,
              HasSubstr("not a whole JSON file"));
  EXPECT_THAT(message(Json::array()), HasSubstr("not a record"));
  json = good;
  json["a_later_field"] = 1;
  EXPECT_EQ(message(json), "no error");
}

TEST(RecordIo, UnwritableFolderIsAMachineError) {
  const auto result = write_record("/proc/nowhere", kvtoll::testing::sample_record());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::kMachine);
}

}  // namespace
}  // namespace kvtoll::report
