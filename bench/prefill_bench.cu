// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// The attention of a chunk of a prompt alone: time and TFLOP/s at several depths (what is visible
// counts: half of a square at depth 0). Example: prefill_bench --heads 28 --kv-heads 4 --rows 1152
#include <cuda_fp16.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "kvtoll/backends/cuda/attention_prefill.h"
#include "kvtoll/backends/cuda/synthetic.h"
#include "kvtoll/core/build_info.h"
#include "kvtoll/device/device_info.h"
#include "kvtoll/device/memory.h"
#include "kvtoll/device/stream.h"

namespace kvtoll::cuda {
namespace {

struct Options {
  int heads = 28, kv_heads = 4, dim = 128, rows = 1024;
  int capability = 9;  // 8: the kernel of older devices
  std::string out, command;
};

struct Point {
  int depth;
  double us, tflops;
};

constexpr int kDepths[] = {0, 1024, 7168, 31744, 64512, 130048};
constexpr int kPasses = 9;

double multiply_adds(const Options& o, int depth) {
  const double seen = double(o.rows) * depth + double(o.rows) * (o.rows + 1) / 2;
  return 2.0 * seen * o.heads * o.dim;
}

// The outputs of both kernels: largest difference over the largest magnitude.
void check(const PrefillParams& p, const PrefillKernel& older, const LaunchContext& launch,
           cudaStream_t stream) {
  const auto count = static_cast<size_t>(p.rows) * p.heads * p.dim;
  std::vector<__half> got(count), want(count);
  const auto read = [&](std::vector<__half>& out) {
    KVTOLL_CUDA(cudaMemcpyAsync(out.data(), p.out, count * 2, cudaMemcpyDeviceToHost, stream));
    KVTOLL_CUDA(cudaStreamSynchronize(stream));
  };
  read(got);
  older.launch(p, DType::kF16, launch);
  read(want);
  double worst = 0.0, largest = 0.0;
  for (size_t i = 0; i < count; ++i) {
    const double a = __half2float(got[i]), b = __half2float(want[i]);
    worst = a == a ? std::max(worst, std::abs(a - b)) : 1e9;
    largest = std::max(largest, std::abs(b));
  }
  std::printf("differs from the older by %.2e of the largest value; ", worst / largest);
}

Result<std::vector<Point>> measure(const Options& o, const DeviceInfo& device) {
  DeviceMemory memory(0);
  Stream stream;
  const int64_t capacity = *std::max_element(std::begin(kDepths), std::end(kDepths)) + o.rows;
  const int64_t kv = capacity * o.kv_heads * o.dim, q = int64_t(o.rows) * o.heads * o.dim;
  KVTOLL_TRY(DeviceBuffer buffer, memory.allocate(Bytes(4 * kv + 4 * q), MemoryTag::kWorkspace));
  launch_synthetic({1, 2, 1.0f, 0.0f}, DType::kF16, DType::kF16,
                   {buffer.get(), DType::kF16, 2 * kv + q, 1, 1}, stream.get());
  const PrefillKernel kernel = prefill_kernel(o.capability, o.dim),
                      older = prefill_kernel(8, o.dim);
  std::printf("%.*s\n", static_cast<int>(kernel.name.size()), kernel.name.data());
  char* at = buffer.get<char>();
  PrefillParams p{.q = at + 4 * kv, .k = at, .v = at + 2 * kv, .out = at + 4 * kv + 2 * q};
  p.capacity = capacity;
  p.heads = o.heads, p.kv_heads = o.kv_heads, p.dim = o.dim, p.rows = o.rows;
  const LaunchContext launch{stream.get(), device.multiprocessors, 0, false};
  std::vector<Point> points;
  for (int depth : kDepths) {
    p.first = depth;
    std::vector<double> times;
    for (int pass = 0; pass < kPasses; ++pass) {
      Event start, stop;
      start.record(stream.get());
      kernel.launch(p, DType::kF16, launch);
      stop.record(stream.get());
      stop.synchronize();
      times.push_back(stop.since(start) * 1e3);
    }
    if (kernel.name != older.name) check(p, older, launch, stream.get());
    std::nth_element(times.begin(), times.begin() + kPasses / 2, times.end());
    const double us = times[kPasses / 2];
    points.push_back({depth, us, 2.0 * multiply_adds(o, depth) / (us * 1e6)});
    std::printf("%8d rows at depth %7d: %9.1f us, %6.1f TFLOP/s\n", o.rows, depth, us,
                points.back().tflops);
  }
  return points;
}

void write_record(const Options& o, const DeviceInfo& device, const std::vector<Point>& points) {
  if (o.out.empty()) return;
  std::FILE* f = std::fopen(o.out.c_str(), "w");
  if (!f) return std::perror(o.out.c_str());
  std::fprintf(f,
               "{\n  \"bench\": \"prefill_attention\", \"command\": \"%s\", \"git_revision\": "
               "\"%s\", \"git_dirty\": %s,\n  \"device\": \"%s\", \"kernel\": \"%s\", \"heads\": "
               "%d, \"kv_heads\": %d, "
               "\"head_dim\": %d, \"rows\": %d,\n  \"points\": [",
               o.command.c_str(), std::string(build_info().git_revision).c_str(),
               build_info().git_dirty ? "true" : "false", device.name.c_str(),
               std::string(prefill_kernel(o.capability, o.dim).name).c_str(), o.heads, o.kv_heads,
               o.dim, o.rows);
  for (size_t i = 0; i < points.size(); ++i)
    std::fprintf(f, "%s\n    {\"depth\": %d, \"time_us\": %.2f, \"tflops\": %.2f}", i ? "," : "",
                 points[i].depth, points[i].us, points[i].tflops);
  std::fprintf(f, "\n  ]\n}\n");
  std::fclose(f);
}

Options parse(int argc, char** argv) {
  Options o;
  for (int i = 0; i < argc; ++i) o.command += (i ? " " : "") + std::string(argv[i]);
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string key = argv[i], value = argv[i + 1];
    if (key == "--heads") o.heads = std::atoi(value.c_str());
    if (key == "--kv-heads") o.kv_heads = std::atoi(value.c_str());
    if (key == "--dim") o.dim = std::atoi(value.c_str());
    if (key == "--rows") o.rows = std::atoi(value.c_str());
    if (key == "--capability") o.capability = std::atoi(value.c_str());
    if (key == "--out") o.out = value;
  }
  return o;
}

}  // namespace
}  // namespace kvtoll::cuda

int main(int argc, char** argv) {
  using namespace kvtoll;
  const cuda::Options options = cuda::parse(argc, argv);
  const DeviceInfo device = device_info(0);
  if (!device.available)
    return std::fprintf(stderr, "prefill_bench: %s\n", device.reason.c_str()), 4;
  const auto points = cuda::measure(options, device);
  if (!points)
    return std::fprintf(stderr, "prefill_bench: %s\n", points.error().message.c_str()), 4;
  cuda::write_record(options, device, *points);
}
