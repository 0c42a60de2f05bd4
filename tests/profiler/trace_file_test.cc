// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The PyTorch traces are real (tools/make_torch_traces.py on an H100 and on a CPU). The Nsight
// Systems export is made here after the documented schema: no licence-free real one was at hand.
#include "kvtoll/profiler/trace_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <fstream>
#include <map>

#include "kvtoll/core/files.h"
#include "kvtoll/profiler/gzip.h"
#include "kvtoll/profiler/kernel_table.h"

namespace kvtoll::profiler {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

fs::path data(const std::string& name) { return fs::path(KVTOLL_TEST_DATA) / "traces" / name; }
fs::path temporary(const std::string& name) { return fs::path(testing::TempDir()) / name; }

KernelTable table_of(const std::string& name) {
  const auto file = read_trace_file(data(name));
  EXPECT_TRUE(file) << (file ? "" : file.error().message);
  return file ? build_kernel_table(file->trace) : KernelTable{};
}

std::map<std::string, PartTime> parts_of(const KernelTable& table) {
  std::map<std::string, PartTime> parts;
  for (const PartTime& p : table.parts) parts[p.part] = p;
  return parts;
}

TEST(TorchTrace, EveryKernelOfTheRealTracesIsKnown) {
  int traces = 0;
  for (const auto& entry : fs::directory_iterator(data(""))) {
    const KernelTable table = table_of(entry.path().filename());
    EXPECT_TRUE(table.unknown.empty()) << entry.path() << ": " << table.unknown.front();
    EXPECT_EQ(table.steps, 3) << entry.path();
    EXPECT_NEAR(static_cast<double>((table.busy + table.idle.time).value),
                static_cast<double>(table.window.value), 0.005 * table.window.value);
    ++traces;
  }
  EXPECT_GE(traces, 5);
}

TEST(TorchTrace, ShapesTellTheLayers) {
  const auto file = read_trace_file(data("torch_cuda_fp16.json.gz"));
  ASSERT_TRUE(file);
  EXPECT_EQ(file->tool, "pytorch");
  EXPECT_EQ(file->device, "NVIDIA H100 80GB HBM3");
  auto parts = parts_of(build_kernel_table(file->trace));
  // Two layers, three steps: q, k, v, o; gate and up; down with its split-k sum; one head.
  EXPECT_EQ(parts["attention.projection"].calls, 24);
  EXPECT_EQ(parts["ffn.gate_up"].calls, 12);
  EXPECT_EQ(parts["ffn.down"].calls, 12);
  EXPECT_EQ(parts["ffn.lm_head"].calls, 3);
  EXPECT_EQ(parts["ffn.matmul"].calls, 0);
  EXPECT_EQ(parts["sampling"].calls, 3);
}

TEST(TorchTrace, StacksTellTheSameLayers) {
  auto parts = parts_of(table_of("torch_cuda_fp16_eager_stack.json.gz"));
  EXPECT_EQ(parts["attention.projection"].calls, 24);
  EXPECT_EQ(parts["ffn.mlp"].calls, 24);
  EXPECT_EQ(parts["ffn.lm_head"].calls, 3);
  EXPECT_EQ(parts["attention.softmax"].calls, 6);
  EXPECT_EQ(parts["attention.core"].calls, 12);
}

TEST(TorchTrace, QuantizedCachesShowTheirKernels) {
  auto quanto = parts_of(table_of("torch_cuda_int4_quanto.json.gz"));
  EXPECT_EQ(quanto["dequantization.unpack"].calls, 12);  // K and V, two layers, three steps
  EXPECT_GT(quanto["dequantization.quantize"].calls, 0);
  EXPECT_GT(parts_of(table_of("torch_cuda_int8_hqq.json.gz"))["dequantization.quantize"].calls,
            100);  // the solver's iterations of one flush
  // With the call stack every kernel inside the cache's own functions is attributed.
  auto hqq = parts_of(table_of("torch_cuda_int8_hqq_stack.json.gz"));
  EXPECT_EQ(hqq["dequantization.dequantize"].calls, 36);  // cast, subtract, multiply: K, V, 2 x 3
  EXPECT_GT(hqq["dequantization.quantize"].time.time, hqq["attention.projection"].time.time);
  auto stack = parts_of(table_of("torch_cpu_int4_quanto_stack.json.gz"));
  EXPECT_GT(stack["dequantization.dequantize"].calls, 50);
  EXPECT_GT(stack["dequantization.quantize"].calls, 20);
}

TEST(TorchTrace, NotesSayWhatCannotBeTold) {
  const auto file = read_trace_file(data("torch_cuda_int4_quanto.json.gz"));
  ASSERT_TRUE(file);
  ASSERT_EQ(file->trace.notes.size(), 2u);
  EXPECT_THAT(file->trace.notes[0], HasSubstr("record_shapes=True"));
  EXPECT_THAT(file->trace.notes[1], HasSubstr("with_stack=True"));
}

TEST(TorchTrace, BareListOfEventsAndOwnSteps) {
  const fs::path path = temporary("bare.json");
  std::ofstream(path) << R"([
    {"ph":"X","cat":"user_annotation","name":"decode 0","tid":1,"ts":10,"dur":50,"args":{}},
    {"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","tid":1,"ts":20,"dur":5,
     "args":{"correlation":7}},
    {"ph":"X","cat":"kernel","name":"rms_norm_kernel","tid":7,"ts":30,"dur":40,
     "args":{"correlation":7,"stream":7}}])";
  const auto file = read_trace_file(path, {.steps = "decode"});
  ASSERT_TRUE(file) << file.error().message;
  const KernelTable table = build_kernel_table(file->trace);
  EXPECT_EQ(table.steps, 1);
  EXPECT_EQ(table.window.value, 60'000);
  EXPECT_EQ(table[Category::kNormalization].time.value, 40'000);
  EXPECT_EQ(table.host_api.value, 5'000);
}

TEST(TorchTrace, BadInputNamesTheFileAndTheCure) {
  const auto error_of = [](const fs::path& path) {
    const auto file = read_trace_file(path);
    EXPECT_FALSE(file);
    return file ? Error{} : file.error();
  };
  const fs::path path = temporary("bad.json");
  std::ofstream(path) << R"({"traceEvents": [{"ph":"X","cat":"ker)";
  EXPECT_EQ(error_of(path).kind, ErrorKind::kInput);
  EXPECT_THAT(error_of(path).message, HasSubstr("bad.json"));
  std::ofstream(path) << R"({"traceEvents": []})";
  EXPECT_THAT(error_of(path).message, HasSubstr("ProfilerActivity.CUDA"));
  std::ofstream(path) << R"({"traceEvents": [{"ph":1,"cat":"kernel","name":7,"ts":"x"},
    {"ph":"X","cat":"kernel","args":[1]}, {"ph":"X","cat":"cpu_op","name":"aten::mm",
     "args":{"Input Dims":[3,"x"]}}]})";
  EXPECT_THAT(read_trace_file(path)->trace.kernels.size(), 1u);
  std::ofstream(path) << R"({"traceEvents": [{"ph":"X","cat":"kernel","name":"k","ts":1e300,
    "dur":-1e300,"tid":-4.5,"args":{"correlation":1e40,"stream":-1e99}},
    {"ph":"X","cat":"kernel","name":"k","ts":9e14,"dur":9e14,"args":{}}]})";
  EXPECT_EQ(build_kernel_table(read_trace_file(path)->trace).launches, 2);
  std::ofstream(path) << "";
  EXPECT_EQ(error_of(path).kind, ErrorKind::kInput);
  EXPECT_THAT(error_of("nothing.json").message, HasSubstr("nothing.json"));
  EXPECT_THAT(error_of("x.nsys-rep").message, HasSubstr("nsys export --type sqlite"));
  auto gz = *read_file(data("torch_cuda_fp16.json.gz"));
  std::ofstream(path, std::ios::binary) << gz.substr(0, gz.size() / 2);
  EXPECT_THAT(error_of(path).message, HasSubstr("cut off"));
  gz[gz.size() / 2] ^= 0x5a;
  std::ofstream(path, std::ios::binary) << gz;
  EXPECT_EQ(error_of(path).kind, ErrorKind::kInput);
}

TEST(Gunzip, RefusesBombs) {
  const auto bytes = *read_file(data("torch_cuda_fp16.json.gz"));
  EXPECT_TRUE(is_gzip(bytes));
  EXPECT_FALSE(gunzip(bytes, 1 << 16));
  EXPECT_GT(gunzip(bytes)->size(), size_t{1} << 19);
}

// The tables an export of "nsys profile --trace=cuda,nvtx" has, with two decode steps.
constexpr const char* kNsysSchema = R"(
CREATE TABLE StringIds (id INTEGER NOT NULL PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE TARGET_INFO_GPU (id INT NOT NULL, name TEXT, busLocation TEXT, isDiscrete INTEGER);
CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INT NOT NULL, end INT NOT NULL,
  deviceId INT NOT NULL, contextId INT NOT NULL, greenContextId INT, streamId INT NOT NULL,
  correlationId INT, globalPid INT, demangledName INT NOT NULL, shortName INT NOT NULL,
  mangledName INT, launchType INT, cacheConfig INT, registersPerThread INT NOT NULL,
  gridX INT NOT NULL, gridY INT NOT NULL, gridZ INT NOT NULL, blockX INT NOT NULL,
  blockY INT NOT NULL, blockZ INT NOT NULL, staticSharedMemory INT NOT NULL,
  dynamicSharedMemory INT NOT NULL, localMemoryPerThread INT NOT NULL,
  localMemoryTotal INT NOT NULL, gridId INT NOT NULL, sharedMemoryExecuted INT,
  graphNodeId INT, sharedMemoryLimitConfig INT);
CREATE TABLE CUPTI_ACTIVITY_KIND_MEMCPY (start INT NOT NULL, end INT NOT NULL,
  deviceId INT NOT NULL, contextId INT NOT NULL, greenContextId INT, streamId INT NOT NULL,
  correlationId INT, globalPid INT, bytes INT NOT NULL, copyKind INT NOT NULL,
  deprecatedSrcId INT, srcKind INT, dstKind INT, srcDeviceId INT, srcContextId INT,
  dstDeviceId INT, dstContextId INT, migrationCause INT, graphNodeId INT, virtualAddress INT,
  copyCount INT);
CREATE TABLE CUPTI_ACTIVITY_KIND_MEMSET (start INT NOT NULL, end INT NOT NULL,
  deviceId INT NOT NULL, contextId INT NOT NULL, greenContextId INT, streamId INT NOT NULL,
  correlationId INT, globalPid INT, value INT NOT NULL, bytes INT NOT NULL, graphNodeId INT,
  memKind INT);
CREATE TABLE CUPTI_ACTIVITY_KIND_RUNTIME (start INT NOT NULL, end INT NOT NULL,
  eventClass INT NOT NULL, globalTid INT, correlationId INT, nameId INT NOT NULL,
  returnValue INT NOT NULL, callchainId INT);
CREATE TABLE NVTX_EVENTS (start INT NOT NULL, end INT, eventType INT NOT NULL, rangeId INT,
  category INT, color INT, text TEXT, globalTid INT, endGlobalTid INT, textId INT, domainId INT,
  uint64Value INT, int64Value INT, doubleValue REAL, uint32Value INT, int32Value INT,
  floatValue REAL, jsonTextId INT, jsonText TEXT, binaryData TEXT);
INSERT INTO StringIds VALUES (1, 'void gemvx::kernel<int, __half>(P)'), (2, 'kernel'),
  (3, 'cudaLaunchKernel_v7000'), (4, 'void vllm::paged_attention_v1_kernel<__half>(P)'),
  (5, 'model.layers.0.self_attn.q_proj'), (6, 'secret_sauce');
INSERT INTO TARGET_INFO_GPU VALUES (0, 'NVIDIA A100-SXM4-80GB', '0000:07:00.0', 1);
INSERT INTO NVTX_EVENTS (start, end, eventType, text, globalTid, textId) VALUES
  (1000, 2000, 59, 'step 0', 77, NULL), (3000, 4000, 59, 'step 1', 77, NULL),
  (1100, 1200, 59, NULL, 77, 5), (1150, NULL, 34, 'a mark', 77, NULL);
)";

void add_launch(std::string& sql, int id, int launch, int start, int end, int name) {
  sql += "INSERT INTO CUPTI_ACTIVITY_KIND_RUNTIME VALUES (" + std::to_string(launch) + "," +
         std::to_string(launch + 10) + ",0,77," + std::to_string(id) + ",3,0,NULL);";
  sql += "INSERT INTO CUPTI_ACTIVITY_KIND_KERNEL VALUES (" + std::to_string(start) + "," +
         std::to_string(end) + ",0,1,NULL,7," + std::to_string(id) + ",1," + std::to_string(name) +
         ",2,NULL,1,0,32,1,1,1,128,1,1,0,0,0,0,0,0,NULL,0);";
}

fs::path make_export(const std::string& name, const std::string& sql) {
  const fs::path path = temporary(name);
  fs::remove(path);
  sqlite3* db = nullptr;
  EXPECT_EQ(sqlite3_open(path.c_str(), &db), SQLITE_OK);
  char* message = nullptr;
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &message), SQLITE_OK)
      << (message ? message : "");
  sqlite3_close(db);
  return path;
}

TEST(NsysExport, KernelsCopiesStepsAndRanges) {
  std::string sql = kNsysSchema;
  add_launch(sql, 1, 1150, 1300, 1400, 1);  // inside the q_proj range
  add_launch(sql, 2, 1250, 1500, 1900, 4);
  add_launch(sql, 3, 3100, 3200, 3300, 1);  // no range: the name alone
  add_launch(sql, 4, 3400, 3500, 3600, 6);
  sql +=
      "INSERT INTO CUPTI_ACTIVITY_KIND_MEMCPY (start, end, deviceId, contextId, streamId, "
      "correlationId, bytes, copyKind) VALUES (3700, 3800, 0, 1, 7, 9, 4096, 1);";
  const auto file = read_trace_file(make_export("export.sqlite", sql), {.steps = "step"});
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->tool, "nsight-systems");
  EXPECT_EQ(file->device, "NVIDIA A100-SXM4-80GB");
  const KernelTable table = build_kernel_table(file->trace);
  EXPECT_EQ(table.steps, 2);
  EXPECT_EQ(table.window.value, 3000);
  auto parts = parts_of(table);
  EXPECT_EQ(parts["attention.projection"].time.time.value, 100);
  EXPECT_EQ(parts["attention.core"].time.time.value, 400);
  EXPECT_EQ(parts["ffn.matmul"].time.time.value, 100);
  EXPECT_EQ(parts["memory.copy"].calls, 1);
  EXPECT_THAT(table.unknown, testing::ElementsAre("secret_sauce"));
  EXPECT_EQ(table.host_api_calls, 4);
  EXPECT_THAT(file->trace.notes[0], HasSubstr("NVTX"));
}

TEST(NsysExport, MissingTablesSayHowToProfile) {
  const auto none = read_trace_file(make_export("none.sqlite", "CREATE TABLE x (y INT);"));
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("--trace=cuda"));
  const auto graphs = read_trace_file(
      make_export("graphs.sqlite", "CREATE TABLE CUPTI_ACTIVITY_KIND_GRAPH_TRACE (start INT);"));
  ASSERT_FALSE(graphs);
  EXPECT_THAT(graphs.error().message, HasSubstr("--cuda-graph-trace=node"));
  const auto odd = read_trace_file(
      make_export("odd.sqlite", "CREATE TABLE CUPTI_ACTIVITY_KIND_KERNEL (start INT);"));
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().kind, ErrorKind::kInput);
  const fs::path path = temporary("broken.sqlite");
  std::ofstream(path) << std::string("SQLite format 3\0 and then rubbish", 33);
  EXPECT_EQ(read_trace_file(path).error().kind, ErrorKind::kInput);
}

}  // namespace
}  // namespace kvtoll::profiler
