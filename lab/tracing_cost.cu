// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What CUPTI's kernel trace adds to a decode-like step, setting by setting: 150 kernels that read
// 94 MB each, traced and untraced windows in turn. One process per setting, since most settings
// must be made before the context. The kernels write the GPU's clock themselves, so that host and
// GPU are told apart. nvcc -std=c++20 -O3 -arch=sm_90 lab/tracing_cost.cu -lcupti -o tracing_cost
// tracing_cost graph,pdl,kernel    # settings: see main(); results: docs/lab.md
#include <cuda_runtime.h>
#include <cupti.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "cuda_call.h"

#define CUPTI(x)                                                            \
  do {                                                                      \
    const CUptiResult r_ = (x);                                             \
    if (r_ != CUPTI_SUCCESS) std::printf("  %s: CUPTI error %d\n", #x, r_); \
  } while (0)

namespace {

constexpr int64_t kBytes = 94 << 20;  // read by a kernel
constexpr int kWindow = 24;           // steps
constexpr int kRounds = 4;

std::set<std::string> settings;
bool has(const char* name) { return settings.contains(name); }
int64_t number(const std::string& name, int64_t otherwise) {
  for (const std::string& s : settings)
    if (s.starts_with(name + "=")) return std::atoll(s.c_str() + name.size() + 1);
  return otherwise;
}

uint64_t now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC_RAW, &t);
  return uint64_t(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}
uint64_t CUPTIAPI timestamp() { return now(); }

__device__ uint64_t gpu_clock() {
  uint64_t t;
  asm volatile("mov.u64 %0, %globaltimer;" : "=l"(t));
  return t;
}

__global__ void __launch_bounds__(512)
    read_kernel(const uint4* from, int64_t n, uint64_t* begin, uint64_t* end, int* sink) {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
  if (begin && blockIdx.x == 0 && threadIdx.x == 0) *begin = gpu_clock();
  uint32_t sum = 0;
  const int64_t stride = int64_t(gridDim.x) * blockDim.x;
  int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x;
  for (; i + 3 * stride < n; i += 4 * stride) {
    const uint4 a = from[i], b = from[i + stride], c = from[i + 2 * stride],
                d = from[i + 3 * stride];
    sum += a.x ^ b.y ^ c.z ^ d.w;
  }
  for (; i < n; i += stride) sum += from[i].x;
  if (sum == 0x12345) *sink = 1;
  if (end && threadIdx.x == 0) *end = gpu_clock();  // the last block's stays
}

struct Pool {
  std::mutex mutex;
  std::vector<uint8_t*> free, full;
  std::vector<size_t> valid;
} pool;
size_t buffer_bytes = 4 << 20;
uint8_t* make_buffer() {
  auto* p = static_cast<uint8_t*>(std::aligned_alloc(4096, buffer_bytes));
  std::memset(p, 0, buffer_bytes);
  return p;
}
void CUPTIAPI requested(uint8_t** buffer, size_t* size, size_t* max_records) {
  const std::lock_guard lock(pool.mutex);
  if (pool.free.empty()) pool.free.push_back(make_buffer());
  *buffer = pool.free.back();
  pool.free.pop_back();
  *size = buffer_bytes;
  *max_records = 0;
}
void CUPTIAPI completed(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid) {
  const std::lock_guard lock(pool.mutex);
  pool.full.push_back(buffer);
  pool.valid.push_back(valid);
}

struct Seen {
  int64_t kernels = 0, timeless = 0, busy_ns = 0;
};
Seen drain() {
  Seen seen;
  const std::lock_guard lock(pool.mutex);
  for (size_t i = 0; i < pool.full.size(); ++i) {
    CUpti_Activity* record = nullptr;
    while (cuptiActivityGetNextRecord(pool.full[i], pool.valid[i], &record) == CUPTI_SUCCESS) {
      if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL &&
          record->kind != CUPTI_ACTIVITY_KIND_KERNEL)
        continue;
      const auto& k = *reinterpret_cast<CUpti_ActivityKernel9*>(record);
      ++seen.kernels;
      seen.timeless += k.start == 0;
      seen.busy_ns += int64_t(k.end - k.start);
    }
    std::memset(pool.full[i], 0, pool.valid[i]);
    pool.free.push_back(pool.full[i]);
  }
  pool.full.clear();
  pool.valid.clear();
  return seen;
}

std::vector<CUpti_ActivityKind> kinds;
void tracing(bool on) {
  CUDA(cudaDeviceSynchronize());
  if (!on) CUPTI(cuptiActivityFlushAll(0));
  for (CUpti_ActivityKind kind : kinds)
    CUPTI(on ? cuptiActivityEnable(kind) : cuptiActivityDisable(kind));
  if (!on) CUPTI(cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED));
}

template <class T>
void set_attribute(CUpti_ActivityAttribute attribute, T value) {
  size_t size = sizeof value;
  CUPTI(cuptiActivitySetAttribute(attribute, &size, &value));
}

double median(std::vector<double> v) {
  if (v.empty()) return 0;
  std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
  return v[v.size() / 2];
}

struct Step {
  int nodes = 0;
  cudaStream_t stream{};
  uint4* memory = nullptr;
  uint64_t* marks = nullptr;  // pinned: begin, end
  int* sink = nullptr;
  cudaGraphExec_t exec{};
  cudaEvent_t events[2];

  void launch_kernels() {
    for (int i = 0; i < nodes; ++i) {
      cudaLaunchAttribute attribute{};
      attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
      attribute.val.programmaticStreamSerializationAllowed = 1;
      cudaLaunchConfig_t config{};
      config.gridDim = dim3(132 * 4);
      config.blockDim = dim3(512);
      config.stream = stream;
      config.attrs = &attribute;
      config.numAttrs = has("pdl") ? 1 : 0;
      CUDA(cudaLaunchKernelEx(
          &config, read_kernel, (const uint4*)(memory + (i % 100) * (kBytes / 16)), kBytes / 16,
          i == 0 ? marks : nullptr, i == nodes - 1 ? marks + 1 : nullptr, sink));
    }
  }
  void instantiate() {
    cudaGraph_t graph;
    CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    launch_kernels();
    CUDA(cudaStreamEndCapture(stream, &graph));
    CUDA(cudaGraphInstantiate(&exec, graph, 0));
    if (has("upload")) CUDA(cudaGraphUpload(exec, stream));
  }
  void prepare(int n) {
    nodes = n;
    CUDA(cudaStreamCreate(&stream));
    CUDA(cudaMalloc(&memory, kBytes * 100));
    CUDA(cudaMalloc(&sink, 4));
    CUDA(cudaHostAlloc(&marks, 16, cudaHostAllocMapped));
    for (auto& e : events) CUDA(cudaEventCreateWithFlags(&e, cudaEventDisableTiming));
    launch_kernels();
    CUDA(cudaDeviceSynchronize());
    if (has("graph")) instantiate();
  }
  void launch() {
    if (exec) {
      CUDA(cudaGraphLaunch(exec, stream));
    } else {
      launch_kernels();
    }
  }
};

struct Times {
  std::vector<double> step, host, gpu;
  double first = 0;
  void run(Step& s) { has("ahead") ? run_ahead(s) : run_in_turn(s); }
  void run_in_turn(Step& s) {
    for (int i = 0; i < kWindow; ++i) {
      const uint64_t t0 = now();
      s.launch();
      const uint64_t t1 = now();
      CUDA(cudaStreamSynchronize(s.stream));
      const uint64_t t2 = now();
      add(i, t2 - t0, t1 - t0, s.marks[1] - s.marks[0]);
    }
  }
  // The next step is queued while the last one runs.
  void run_ahead(Step& s) {
    s.launch();
    CUDA(cudaEventRecord(s.events[0], s.stream));
    uint64_t before = now();
    for (int i = 0; i < kWindow; ++i) {
      const uint64_t t0 = now();
      s.launch();
      CUDA(cudaEventRecord(s.events[(i + 1) % 2], s.stream));
      const uint64_t t1 = now();
      CUDA(cudaEventSynchronize(s.events[i % 2]));
      const uint64_t t2 = now();
      add(i, t2 - before, t1 - t0, 0);
      before = t2;
    }
    CUDA(cudaDeviceSynchronize());
  }
  void add(int i, uint64_t all, uint64_t launching, uint64_t on_gpu) {
    if (i == 0) first = std::max(first, all * 1e-3);
    if (i < 3) return;
    step.push_back(all * 1e-3);
    host.push_back(launching * 1e-3);
    gpu.push_back(on_gpu * 1e-3);
  }
};

}  // namespace

int main(int argc, char** argv) {
  std::string text = argc > 1 ? argv[1] : "graph,kernel";
  for (char* p = std::strtok(text.data(), ","); p; p = std::strtok(nullptr, ","))
    settings.insert(p);
  CUpti_SubscriberHandle subscriber = nullptr;
  if (!has("nosubscribe"))
    CUPTI(cuptiSubscribe(
        &subscriber, [](void*, CUpti_CallbackDomain, CUpti_CallbackId, const void*) {}, nullptr));
  if (has("hw")) {  // needs the driver up
    CUDA(cudaFree(nullptr));
    const CUptiResult r = cuptiActivityEnableHWTrace(1);
    std::printf("  cuptiActivityEnableHWTrace: %d\n", r);
    if (r != CUPTI_SUCCESS) return 0;
  }
  if (!has("notimestamp")) CUPTI(cuptiActivityRegisterTimestampCallback(timestamp));
  buffer_bytes = number("buffer", 4 << 20);
  if (!has("unzeroed")) set_attribute<uint8_t>(CUPTI_ACTIVITY_ATTR_ZEROED_OUT_ACTIVITY_BUFFER, 1);
  if (const int64_t n = number("devbuf", 0))
    set_attribute<size_t>(CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_SIZE, n);
  if (const int64_t n = number("prealloc", 0))
    set_attribute<size_t>(CUPTI_ACTIVITY_ATTR_DEVICE_BUFFER_PRE_ALLOCATE_VALUE, n);
  if (has("pinned")) set_attribute<uint8_t>(CUPTI_ACTIVITY_ATTR_MEM_ALLOCATION_TYPE_HOST_PINNED, 1);
  if (has("onebuffer")) set_attribute<uint8_t>(CUPTI_ACTIVITY_ATTR_PER_THREAD_ACTIVITY_BUFFER, 0);
  CUPTI(cuptiActivityRegisterCallbacks(requested, completed));
  if (const int64_t ms = number("period", 0)) CUPTI(cuptiActivityFlushPeriod(ms));
  if (has("kernel")) kinds.push_back(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  if (has("serial")) kinds.push_back(CUPTI_ACTIVITY_KIND_KERNEL);
  if (has("graphtrace")) kinds.push_back(CUPTI_ACTIVITY_KIND_GRAPH_TRACE);
  if (has("copies"))
    kinds.push_back(CUPTI_ACTIVITY_KIND_MEMCPY), kinds.push_back(CUPTI_ACTIVITY_KIND_MEMSET);
  if (has("runtime")) kinds.push_back(CUPTI_ACTIVITY_KIND_RUNTIME);
  if (has("early"))  // on while the context and the graph are made
    for (CUpti_ActivityKind kind : kinds) CUPTI(cuptiActivityEnable(kind));

  Step step;
  step.prepare(int(number("nodes", 150)));
  if (has("early")) tracing(false), drain();
  Times warm, plain, traced;
  warm.run(step);
  Seen seen;
  for (int round = 0; round < kRounds; ++round) {
    plain.run(step);
    tracing(true);
    if (has("reinstantiate") && step.exec) step.instantiate();
    traced.run(step);
    tracing(false);
    const Seen s = drain();
    seen.kernels += s.kernels, seen.timeless += s.timeless, seen.busy_ns += s.busy_ns;
  }
  size_t dropped = 0;
  cuptiActivityGetNumDroppedRecords(nullptr, 0, &dropped);
  const double a = median(plain.step), b = median(traced.step);
  std::printf(
      "%-44s step %7.1f -> %7.1f us (%+5.2f %%)  host launch %6.1f -> %6.1f  gpu %7.1f -> %7.1f  "
      "first %7.1f  "
      "records %ld (%.1f a step) without time %ld dropped %zu, kernel sum %.1f us a step\n",
      argc > 1 ? argv[1] : "", a, b, 100 * (b / a - 1), median(plain.host), median(traced.host),
      median(plain.gpu), median(traced.gpu), traced.first, long(seen.kernels),
      double(seen.kernels) / (kRounds * (kWindow + (has("ahead") ? 1 : 0))), long(seen.timeless),
      dropped, seen.busy_ns * 1e-3 / (kRounds * (kWindow + (has("ahead") ? 1 : 0))));
  return 0;
}
