// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/studies/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "kvtoll/core/files.h"
#include "kvtoll/profiler/gzip.h"
#include "kvtoll/report/record_io.h"
#include "kvtoll/report/results.h"
#include "kvtoll/studies/resume.h"
#include "support/fake_backend.h"
#include "support/temporary_folder.h"

namespace kvtoll::studies {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

constexpr const char* kStudy = R"(title = "test"
warmups = 1
runs = 2
[[model]]
name = "m"
source = "synthetic:tiny-llama"
[[matrix]]
kv = ["fp16", "int8-hqq", "int4-quanto"]
new_tokens = [40, 60]
residual = [16]
)";

class Runner : public ::testing::Test {
 protected:
  Runner() : study_(*parse_study(kStudy, "test", "test.toml")) {
    options_.results = folder_.path() / "results";
    options_.quiet = true;
    options_.measure_bandwidth = false;
    options_.make_backend = [this](const StudyModel&, const std::string&, const BackendOptions&) {
      return Result<std::unique_ptr<Backend>>(
          std::make_unique<kvtoll::testing::FakeBackend>(plan_, log_));
    };
  }

  Result<RunOutcome> run() { return run_blocks(study_, expand(study_, {}), options_); }
  fs::path raw() const { return options_.results / "raw"; }
  report::RunRecord record(const std::string& label) const {
    const auto result = report::read_record(raw() / (label + ".json"));
    EXPECT_TRUE(result) << result.error().message;
    return result ? *result : report::RunRecord{};
  }
  size_t files() const {
    return std::distance(fs::directory_iterator(raw()), fs::directory_iterator());
  }

  kvtoll::testing::TemporaryFolder folder_;
  Study study_;
  RunOptions options_;
  kvtoll::testing::FakePlan plan_;
  kvtoll::testing::FakeLog log_;
};

TEST_F(Runner, MeasuresInTurnAndWritesWhatTheSchemaAsksFor) {
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->ok, 6);
  EXPECT_EQ(files(), 6u);
  EXPECT_EQ(log_.made, 1);  // weights are loaded once
  const std::vector<int> first_block(log_.bits_by_sequence.begin(),
                                     log_.bits_by_sequence.begin() + 12);
  EXPECT_THAT(first_block, ElementsAre(16, 8, 4, 16, 8, 4, 16, 8, 4, 16, 8, 4));
  const auto r = record("m.int4-quanto.n60.r16.cpu");
  EXPECT_EQ(r.runs.size(), 2u);
  EXPECT_EQ(r.runs[0].step_ns.size(), 59u);
  EXPECT_EQ(r.runs[0].flush_steps.size(), 3u);  // 59 updates at residual 16
  EXPECT_EQ(r.runs[0].flush_steps[0], 15);
  EXPECT_EQ(r.config.prompt, "seeded");
  EXPECT_EQ(r.memory.kv_bytes, 40);
  EXPECT_EQ(r.protocol.block, record("m.fp16.n60.r16.cpu").protocol.block);
  EXPECT_NE(r.protocol.block, record("m.fp16.n40.r16.cpu").protocol.block);
}

TEST_F(Runner, KeepsTracesOnRequest) {
  ASSERT_TRUE(run());
  EXPECT_FALSE(fs::exists(options_.results / "traces"));
  options_.keep_traces = options_.force = true;
  ASSERT_TRUE(run());
  const auto packed = read_file(options_.results / "traces/m.fp16.n60.r16.cpu.trace.json.gz");
  ASSERT_TRUE(packed) << packed.error().message;
  const auto json = profiler::gunzip(*packed);
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_THAT(*json, HasSubstr("\"decode"));
}

TEST_F(Runner, TraceCoversItsWindows) {
  ASSERT_TRUE(run());
  const auto r = record("m.int4-quanto.n60.r16.cpu");
  ASSERT_EQ(r.trace.size(), 12u);
  int64_t window = 0, accounted = 0;
  for (const report::TraceWindow& w : r.trace) {
    window += w.window_ns;
    EXPECT_EQ(w.busy_ns + w.category_ns.at("idle"), w.window_ns);
  }
  for (const auto& [name, time] : r.categories) accounted += time.time_ns;
  EXPECT_EQ(accounted, window);  // nothing overlaps here
  EXPECT_GT(r.categories.at("attention").time_ns, 0);
  EXPECT_TRUE(r.tracing_overhead.available);
  EXPECT_GT(r.tracing_overhead.steps, 0);
}

TEST_F(Runner, SequentialOrderFinishesAFormatBeforeTheNext) {
  study_.order = Order::kSequential;
  ASSERT_TRUE(run());
  const std::vector<int> begin(log_.bits_by_sequence.begin(), log_.bits_by_sequence.begin() + 6);
  EXPECT_THAT(begin, ElementsAre(16, 16, 16, 16, 8, 8));
}

TEST_F(Runner, FinishedConfigurationsAreSkippedAndAMissingFileRepeatsItsBlock) {
  ASSERT_TRUE(run());
  log_ = {};
  auto again = run();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->skipped, 6);
  EXPECT_EQ(log_.made, 0);
  fs::remove(raw() / "m.int8-hqq.n40.r16.cpu.json");
  again = run();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->skipped, 3);
  EXPECT_EQ(again->measured, 3);
  options_.force = true;
  EXPECT_EQ(run()->measured, 6);
}

TEST_F(Runner, OneRefusedFormatDoesNotStopTheOthers) {
  plan_.refuse = {{8, {ErrorKind::kOutOfMemory, "predicted 9 GB, free 1 GB"}}};
  plan_.fail_steps = {{4, {ErrorKind::kFailed, "kernel went wrong"}}};
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->ok, 2);
  EXPECT_EQ(outcome->oom, 2);
  EXPECT_EQ(outcome->failed, 2);
  EXPECT_THAT(outcome->failures[0], HasSubstr("kernel went wrong"));
  EXPECT_EQ(record("m.int8-hqq.n40.r16.cpu").status, report::Status::kOom);
  EXPECT_THAT(record("m.int8-hqq.n40.r16.cpu").reason, HasSubstr("9 GB"));
  EXPECT_EQ(record("m.fp16.n40.r16.cpu").runs.size(), 2u);
  plan_ = {};  // cured: only what failed runs again, oom is a result
  log_ = {};
  const auto again = run();
  ASSERT_TRUE(again);
  EXPECT_EQ(again->measured, 2);
  EXPECT_EQ(again->skipped, 4);
  EXPECT_EQ(record("m.int4-quanto.n40.r16.cpu").status, report::Status::kOk);
}

TEST_F(Runner, InterruptKeepsFinishedBlocksAndResumes) {
  options_.interrupted = [this] { return log_.steps > 39 * 12 + 50; };  // inside the second block
  auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_TRUE(outcome->interrupted());
  EXPECT_EQ(outcome->left, 3);
  EXPECT_EQ(files(), 3u);
  options_.interrupted = {};
  outcome = run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->measured, 3);
  EXPECT_EQ(files(), 6u);
}

TEST_F(Runner, AnotherModelOrProtocolUnderTheSameNameIsAnError) {
  ASSERT_TRUE(run());
  study_.models[0].source = "synthetic:tiny-qwen2";
  auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::kInput);
  EXPECT_THAT(outcome.error().message, HasSubstr("--force"));
  study_.models[0].source = "synthetic:tiny-llama";
  study_.runs = 5;
  EXPECT_THAT(run().error().message, HasSubstr("2 runs"));
}

TEST_F(Runner, RecordsOfAnotherSchemaAreAnErrorAndStay) {
  ASSERT_TRUE(run());
  const fs::path file = raw() / "m.fp16.n40.r16.cpu.json";
  std::string text = *read_file(file);
  text.replace(text.find("kvtoll.run/1"), 12, "kvtoll.run/7");
  std::ofstream(file) << text;
  const auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::kInput);
  EXPECT_THAT(outcome.error().message, HasSubstr("kvtoll.run/7"));
  EXPECT_EQ(*read_file(file), text);
}

TEST_F(Runner, AFullDiskIsAMachineErrorAndNothingIsHalfWritten) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};  // bytes a file may have: the manifest fits, no record does
    limit.rlim_cur = limit.rlim_max = 2000;
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto outcome = run();
    const bool told = !outcome && outcome.error().kind == ErrorKind::kMachine &&
                      outcome.error().message.find("cannot write") != std::string::npos;
    ::_exit(told ? 42 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42);
  EXPECT_TRUE(fs::is_empty(raw()));
}

TEST_F(Runner, KilledWhileMeasuringItLosesOneBlockOnly) {
  const pid_t child = ::fork();
  if (child == 0) {
    options_.interrupted = [this] {
      if (log_.steps > 39 * 12 + 100) ::raise(SIGKILL);  // in the second block
      return false;
    };
    (void)run();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(files(), 3u);
  for (const auto& entry : fs::directory_iterator(raw()))
    EXPECT_TRUE(report::read_record(entry.path())) << entry.path();
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  EXPECT_EQ(outcome->skipped, 3);
  EXPECT_EQ(outcome->measured, 3);
}

TEST_F(Runner, LeftOverTemporariesOfDeadProcessesAreRemoved) {
  ASSERT_TRUE(run());
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);  // its id is free now
  const fs::path stale = raw() / ("x.json.tmp" + std::to_string(child));
  const fs::path alive = raw() / ("y.json.tmp" + std::to_string(::getpid()));
  std::ofstream(stale) << "half";
  std::ofstream(alive) << "half";
  EXPECT_THAT(temporaries(raw()), ElementsAre(stale, alive));
  remove_stale_temporaries(raw());
  EXPECT_FALSE(fs::exists(stale));
  EXPECT_TRUE(fs::exists(alive));
}

TEST_F(Runner, UnwritableResultsAreAMachineErrorBeforeAnythingIsMeasured) {
  options_.results = "/proc/kvtoll-results";
  const auto outcome = run();
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, ErrorKind::kMachine);
  EXPECT_EQ(log_.steps, 0);
}

}  // namespace
}  // namespace kvtoll::studies
