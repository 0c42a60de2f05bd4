// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// tests/data/formats: tensors that the real optimum-quanto 0.2.7 and hqq 0.2.8 quantized
// (tools/golden_formats.py --set).
#include "kvtoll/formats/golden.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "kvtoll/core/files.h"
#include "kvtoll/core/safetensors.h"

namespace kvtoll {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const fs::path kFolder = fs::path(KVTOLL_TEST_DATA) / "formats";
const fs::path kOne = kFolder / "int4-quanto.fp16.mixed.t3.safetensors";

class Golden : public testing::Test {
 protected:
  fs::path temporary(const char* name) {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    return fs::path(testing::TempDir()) / (std::string(info->name()) + "." + name);
  }
  // kOne with `change` applied to its bytes.
  template <class Change>
  fs::path changed(const Change& change) {
    std::string bytes = *read_file(kOne);
    change(bytes);
    const fs::path path = temporary("safetensors");
    EXPECT_TRUE(write_file_atomic(path, bytes));
    return path;
  }
};

TEST_F(Golden, EveryFileIsEqual) {
  std::set<std::string> formats;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    const auto verdict = verify_golden(entry.path());
    ASSERT_TRUE(verdict) << verdict.error().message;
    for (const GoldenDifference& d : verdict->differences)
      ADD_FAILURE() << entry.path().filename() << ": " << d.tensor << " " << d.index
                    << ": expected " << d.expected << ", got " << d.got << ", " << d.count << " of "
                    << d.of;
    EXPECT_GE(verdict->compared, 5 * verdict->shape.elements() / 2);
    EXPECT_EQ(verdict->metadata.count("optimum-quanto") + verdict->metadata.count("hqq"), 1u);
    formats.insert(verdict->format.name + (verdict->format.axis == 0 ? " 0" : " other"));
  }
  EXPECT_EQ(formats.size(), 2u * 2 + 4 * 2 + 1) << "every scheme, width and axis";
}

TEST_F(Golden, NamesTheFirstDifference) {
  const auto file = SafetensorsFile::open(kOne);
  ASSERT_TRUE(file);
  const uint64_t at = (*file)->entries().find("dequantized")->second.begin + 2 * (128 + 7);
  const auto verdict = verify_golden(changed([&](std::string& bytes) { bytes[at] ^= 1; }));
  ASSERT_TRUE(verdict) << verdict.error().message;
  ASSERT_EQ(verdict->differences.size(), 2u);
  EXPECT_EQ(verdict->differences[0].tensor, "dequantized");
  EXPECT_EQ(verdict->differences[0].index, "[0, 1, 7]");
  EXPECT_EQ(verdict->differences[0].count, 1);
  EXPECT_NE(verdict->differences[0].expected, verdict->differences[0].got);
  EXPECT_THAT(verdict->differences[1].tensor, HasSubstr("store"));
}

TEST_F(Golden, AChangedInputChangesTheVerdict) {
  const auto file = SafetensorsFile::open(kOne);
  const uint64_t at = (*file)->entries().find("input")->second.begin;
  const auto verdict = verify_golden(changed([&](std::string& bytes) { bytes[at + 1] ^= 0x40; }));
  ASSERT_TRUE(verdict);
  EXPECT_FALSE(verdict->equal());
}

TEST_F(Golden, BadFilesAreInputErrors) {
  auto message = [](const fs::path& path) {
    const auto verdict = verify_golden(path);
    if (verdict) return std::string("no error");
    EXPECT_EQ(verdict.error().kind, ErrorKind::kInput);
    EXPECT_THAT(verdict.error().message, HasSubstr(path.string()));
    return verdict.error().message;
  };
  auto swapped = [&](const std::string& from, const std::string& to) {
    return changed([&](std::string& bytes) {
      const size_t at = bytes.find(from);
      ASSERT_NE(at, std::string::npos) << from;
      bytes.replace(at, from.size(), to);
    });
  };
  EXPECT_THAT(message("/nowhere/k.safetensors"), HasSubstr("k.safetensors"));
  message(changed([](std::string& bytes) { bytes.resize(bytes.size() - 100); }));
  message(changed([](std::string& bytes) { bytes.resize(4); }));
  EXPECT_THAT(message(swapped("kvtoll_golden", "kvtoll_goldex")), HasSubstr("no golden tensors"));
  EXPECT_THAT(message(swapped("int4-quanto", "int4-quanxo")), HasSubstr("int4-quanxo"));
  EXPECT_THAT(message(swapped("int4-quanto", "int2-quanto")), HasSubstr("'packed' has"));
  EXPECT_THAT(message(swapped("\"shift\"", "\"shifx\"")), HasSubstr("shift"));
  EXPECT_THAT(message(swapped("\"input\":{\"dtype\":\"F16\",\"shape\":[1,4",
                              "\"input\":{\"dtype\":\"F16\",\"shape\":[2,2")),
              HasSubstr("kv_head, pos, dim"));
}

}  // namespace
}  // namespace kvtoll
