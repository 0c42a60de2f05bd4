// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/report/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "kvtoll/core/files.h"
#include "kvtoll/report/bandwidth.h"
#include "kvtoll/report/compare.h"
#include "kvtoll/report/record_io.h"
#include "kvtoll/report/results.h"
#include "kvtoll/report/summary.h"
#include "kvtoll/report/validate.h"
#include "support/sample_record.h"
#include "support/temporary_folder.h"

namespace kvtoll::report {
namespace {

using kvtoll::testing::sample_record;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
namespace fs = std::filesystem;

// A consistent record: validate has nothing to say.
RunRecord good_record(const std::string& kv, double tok_s) {
  RunRecord r = sample_record(kv, tok_s);
  for (RunSample& run : r.runs) {
    run.step_ns = {10, 11, 30, 12};
    run.decode_ns = 63;
  }
  for (TraceWindow& w : r.trace) w.category_ns["idle"] = w.window_ns - w.busy_ns;
  return r;
}

class Report : public ::testing::Test {
 protected:
  Report() : results_(folder_.path() / "results") {
    write(good_record("fp16", 100));
    write(good_record("int8-hqq", 80));
    write(good_record("int4-quanto", 90));
    StudyManifest manifest{"test", "A title with <angle> & more", {}, {}, ""};
    for (const char* kv : {"fp16", "int8-hqq", "int4-quanto"})
      manifest.files.push_back("tiny." + std::string(kv) + ".n5.r128.cpu.json");
    EXPECT_TRUE(write_manifest(results_, manifest));
  }
  void write(const RunRecord& record) const { EXPECT_TRUE(write_record(results_ / "raw", record)); }
  kvtoll::testing::TemporaryFolder folder_;
  fs::path results_;
};

TEST_F(Report, OrdersTheBaselineFirst) {
  const auto set = read_results({results_});
  ASSERT_TRUE(set) << set.error().message;
  ASSERT_EQ(set->records.size(), 3u);
  EXPECT_EQ(set->records[0].config.kv, "fp16");
  EXPECT_EQ(set->records[1].config.kv, "int8-hqq");
  EXPECT_EQ(baseline_of(*set, set->records[2]), &set->records[0]);
}

TEST_F(Report, SummaryHasOneRowPerConfiguration) {
  RunRecord refused = good_record("int2-quanto", 1);
  refused.status = Status::kUnsupported;
  refused.reason = "says, \"no\"";
  write(refused);
  const auto set = read_results({results_});
  ASSERT_TRUE(set);
  const std::string csv = summary_csv(*set);
  EXPECT_EQ(std::ranges::count(csv, '\n'), 5);
  EXPECT_THAT(csv, HasSubstr("model,kv,new_tokens"));
  EXPECT_THAT(csv, HasSubstr("unsupported,\"says, \"\"no\"\"\","));
  EXPECT_THAT(csv, HasSubstr("slower"));
  EXPECT_THAT(summary_text(*set), HasSubstr("unsupported: says"));
}

// Five tokens, four steps of 10, 11, 30 and 12 ns, of which the third flushes; windows of two steps
// at 128 and 130 cached tokens declare 300 and 320 bytes.
TEST_F(Report, StepRatesComeFromUntracedStepsWhereTheTraceLooked) {
  RunRecord r = sample_record("fp16", 100);
  auto rates = step_rates(r);
  ASSERT_EQ(rates.size(), 1u);  // the last window holds the flush
  EXPECT_EQ(rates[0].at, "start");
  EXPECT_EQ(rates[0].context, 128);
  EXPECT_DOUBLE_EQ(rates[0].gb_s, 150 / 10.5);
  EXPECT_DOUBLE_EQ(rates[0].tok_s, 1e9 / 10.5);
  for (RunSample& run : r.runs) run.flush_steps.clear();
  rates = step_rates(r);
  ASSERT_EQ(rates.size(), 2u);
  EXPECT_DOUBLE_EQ(rates[1].gb_s, 160 / 21.0);
  r.trace.clear();
  EXPECT_THAT(step_rates(r), IsEmpty());
}

TEST_F(Report, TheTerminalSaysHowNearTheMemorysRateAStepComes) {
  RunRecord r = good_record("fp16", 100);
  r.config.path = "hf";
  r.environment.peak_gb_s = 28.5714;
  write(r);
  const std::string text = *terminal_report(results_);
  EXPECT_THAT(text, HasSubstr("% of datasheet"));
  EXPECT_THAT(text, HasSubstr(" 50.0 "));  // 150 B in 10.5 ns
  EXPECT_THAT(text, HasSubstr("Hugging Face's own work"));
  EXPECT_THAT(text, HasSubstr("--attention fused --launch graph"));
}

TEST_F(Report, PathsOfOneConfigurationAreCompared) {
  RunRecord hf = good_record("fp16", 100), fused = good_record("fp16", 125);
  for (RunRecord* r : {&hf, &fused}) r->config.backend = "cuda";
  hf.config.path = "hf";
  fused.config.path = "fused";
  write(hf);
  write(fused);
  const std::string text = *terminal_report(results_);
  EXPECT_THAT(text, HasSubstr("tiny, fp16, n5 r128: fused against Hugging Face's path, decode "
                              "throughput +25 % ± "));
  EXPECT_THAT(text, HasSubstr("(125.0 and 100.0 tok/s)."));
  EXPECT_THAT(text, Not(HasSubstr("--attention fused")));
}

TEST_F(Report, WritesOneSelfContainedPage) {
  const auto files = write_report({results_}, results_);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_THAT(files->notes, IsEmpty());
  const std::string html = *read_file(files->html);
  EXPECT_THAT(html, HasSubstr("A title with &lt;angle&gt; &amp; more"));
  EXPECT_THAT(html, HasSubstr("<svg"));
  EXPECT_THAT(html, HasSubstr("int8-hqq against fp16, decode throughput -20 %"));
  for (const char* loads : {"src=", "href=\"http", "@import", "<?xml"})
    EXPECT_THAT(html, Not(HasSubstr(loads)));
  EXPECT_THAT(*read_file(files->markdown), HasSubstr("](figures/throughput-tiny-cpu.svg)"));
  EXPECT_TRUE(fs::exists(results_ / "figures/throughput-tiny-cpu.png"));
}

TEST_F(Report, FoldersThatCannotBeReadAreInputErrors) {
  EXPECT_EQ(read_results({folder_.path() / "none"}).error().kind, ErrorKind::kInput);
  EXPECT_THAT(read_results({folder_.path()}).error().message, HasSubstr("no raw/"));
  std::ofstream(results_ / "raw" / "cut.json") << "{\"schema\": \"kvtoll.run/1\",";
  EXPECT_THAT(read_results({results_}).error().message, HasSubstr("cut.json: not a whole JSON"));
}

TEST_F(Report, ComparesRecordsAndFolders) {
  const fs::path a = results_ / "raw/tiny.fp16.n5.r128.cpu.json",
                 b = results_ / "raw/tiny.int8-hqq.n5.r128.cpu.json";
  const auto files = compare(a, b);
  ASSERT_TRUE(files) << files.error().message;
  EXPECT_THAT(files->text, HasSubstr("paired by round"));
  EXPECT_THAT(files->text, HasSubstr("dequantization"));
  EXPECT_EQ(files->slower_than(10).size(), 1u);
  EXPECT_THAT(files->slower_than(30), IsEmpty());
  const auto folders = compare(results_, results_);
  ASSERT_TRUE(folders) << folders.error().message;
  EXPECT_EQ(folders->pairs.size(), 3u);
  EXPECT_THAT(folders->slower_than(0), IsEmpty());
  EXPECT_EQ(compare(a, results_).error().kind, ErrorKind::kUsage);
  EXPECT_EQ(compare(a, folder_.path() / "none").error().kind, ErrorKind::kInput);
}

TEST_F(Report, ValidateFindsNothingInGoodResults) {
  const auto v = validate_results(results_);
  ASSERT_TRUE(v);
  EXPECT_THAT(v->problems, IsEmpty());
  EXPECT_EQ(v->records, 3u);
}

TEST_F(Report, ValidateNamesWhatIsWrong) {
  RunRecord wrong = good_record("int8-hqq", 80);
  wrong.runs[0].step_ns.pop_back();
  wrong.memory.kv_bytes += 1;
  wrong.trace[0].busy_ns += 100;
  write(wrong);
  fs::remove(results_ / "raw/tiny.fp16.n5.r128.cpu.json");
  fs::rename(results_ / "raw/tiny.int4-quanto.n5.r128.cpu.json", results_ / "raw/other.json");
  std::ofstream(results_ / "raw/x.json.tmp12") << "{";
  const auto v = validate_results(results_);
  ASSERT_TRUE(v);
  EXPECT_THAT(v->problems, Contains(HasSubstr("run 0 has 3 steps")));
  EXPECT_THAT(v->problems, Contains(HasSubstr("decode_ns is not the sum")));
  EXPECT_THAT(v->problems, Contains(HasSubstr("kv_bytes is not the sum")));
  EXPECT_THAT(v->problems, Contains(HasSubstr("do not make up the window")));
  EXPECT_THAT(v->problems, Contains(HasSubstr("fp16.n5.r128.cpu.json: missing")));
  EXPECT_THAT(v->problems, Contains(HasSubstr("other.json: its configuration belongs into")));
  EXPECT_THAT(v->problems, Contains(HasSubstr("x.json.tmp12: a temporary file")));
}

}  // namespace
}  // namespace kvtoll::report
