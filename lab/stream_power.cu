// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Where the watts of a matrix-vector product go: reads a 1.09 GB matrix over and over through rings
// of bulk copies and does nothing with it, loads it from shared memory, multiplies it by FMA or by
// tensor cores; with zeros and with random weights, 8 and 16 warps, two ways to wait. Power is the
// difference of the driver's energy counter between two of its updates.
// nvcc -std=c++20 -O3 -arch=sm_90 --expt-relaxed-constexpr -Isrc lab/stream_power.cu
//   -o stream_power
// stream_power [seconds a setting]; results: docs/lab.md
#include <cuda_runtime.h>
#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "cuda_call.h"
#include "kvtoll/backends/cuda/numeric.cuh"

namespace {

using namespace kvtoll::cuda;

constexpr int kRowsTotal = 152064, kWidth = 3584, kRowBytes = kWidth * 2;
constexpr int kSlices = 8, kPiece = kRowBytes / kSlices, kChunks = kPiece / 16;
constexpr int kPitch = 960, kDepth = 3, kBlocks = 132;
constexpr int64_t kBytes = int64_t(kRowsTotal) * kRowBytes;

enum Mode { kCopy, kLoad, kFma, kColumns, kRowsTwice };

__device__ __forceinline__ uint32_t address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
__device__ __forceinline__ uint4 load_kept(uint32_t at) {
  uint4 v;
  asm volatile("ld.volatile.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(at));
  return v;
}

// acc + sum of eight products, in fp32.
__device__ __forceinline__ float dot8(const uint4& w, const float2 (&x)[4], float acc) {
  const uint32_t words[4] = {w.x, w.y, w.z, w.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 v = unpack2<__half>(words[i]);
    acc = fmaf(v.x, x[i].x, acc);
    acc = fmaf(v.y, x[i].y, acc);
  }
  return acc;
}

// What a stage is made of: pieces of kRows rows, one whole row, or (by one warp) eight whole rows.
enum Copies { kPieces, kRow, kEightRows, kPiecesInterleaved, kPiecesEvictFirst };

// kRows rows a stage: 4 with 16 warps, 8 with 8, so that rings are equally large.
template <int kWarps, int kRows, Mode kMode, int kHint, Copies kCopies>
__global__ void __launch_bounds__(kWarps * 32, 1) stream_kernel(const char* weights, float* sink) {
  extern __shared__ __align__(128) unsigned char shared[];
  constexpr int kStage = kRows * kPitch;
  constexpr int kAdvance = kWarps < kSlices ? 8 : kRows * (kWarps / kSlices);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int slice = warp % kSlices, rank = warp / kSlices, g = lane / 4, c = lane % 4;
  unsigned char* ring = shared + warp * kDepth * kStage;
  auto* x = reinterpret_cast<uint4*>(shared + kWarps * kDepth * kStage);
  const uint32_t barrier = address(x + 1024) + warp * kDepth * 8;
  for (int i = threadIdx.x; i < 1024; i += kWarps * 32)
    x[i] = uint4{0x3c003c00u + i, 0x3b003c00u, 0x38123999u, 0xb812b999u};
  if (lane == 0) {
    for (int i = 0; i < kDepth; ++i)
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier + 8 * i));
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  __syncthreads();
  const int first = int64_t(kRowsTotal / 8) * blockIdx.x / kBlocks * 8;
  const int end = int64_t(kRowsTotal / 8) * (blockIdx.x + 1) / kBlocks * 8;
  int ask = first + rank * kRows, put = 0, get = 0, phase = 0;
  uint64_t policy = 0;
  if constexpr (kCopies == kPiecesEvictFirst)
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  const auto request = [&] {
    if (ask >= end) return;
    const uint32_t at = barrier + 8 * put;
    if (lane == 0)
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at),
                   "r"(kRows * kPiece)
                   : "memory");
    __syncwarp();
    if constexpr (kCopies == kRow || kCopies == kEightRows) {
      constexpr int kOne = kRows * kPiece;
      if (lane == 0)
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
            "[%3];" ::"r"(address(ring) + put * kStage),
            "l"(weights + int64_t(ask) * kRowBytes + warp * kOne), "r"(kOne), "r"(at)
            : "memory");
    } else if constexpr (kCopies == kPiecesEvictFirst) {
      if (lane < kRows)
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint "
            "[%0], [%1], %2, [%3], %4;" ::"r"(address(ring) + put * kStage + lane * kPitch),
            "l"(weights + int64_t(ask + lane) * kRowBytes + slice * kPiece), "r"(kPiece), "r"(at),
            "l"(policy)
            : "memory");
    } else if (lane < kRows) {
      const int row = kCopies == kPiecesInterleaved
                          ? ((ask - first) / 8 * kBlocks + blockIdx.x) * 8 + (ask - first) % 8
                          : ask;
      asm volatile(
          "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
          "[%3];" ::"r"(address(ring) + put * kStage + lane * kPitch),
          "l"(weights + int64_t(row + lane) * kRowBytes + slice * kPiece), "r"(kPiece), "r"(at)
          : "memory");
    }
    put = put + 1 == kDepth ? 0 : put + 1;
    ask += kAdvance;
  };
  for (int i = 0; i < kDepth; ++i) request();
  float sums[4] = {}, more[4] = {};
  uint4 held[kChunks / 4];
  if constexpr (kMode == kColumns || kMode == kRowsTwice)
    for (int j = 0; j < kChunks / 4; ++j)
      held[j] =
          g < (kMode == kColumns ? 2 : 4) ? x[g % 2 * 452 + slice * kChunks + 4 * j + c] : uint4{};
  for (int r = first + rank * kRows; r < end; r += kAdvance) {
    uint32_t done = 0;
    do {
      if constexpr (kHint > 0)
        asm volatile(
            "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2, %3; selp.u32 "
            "%0, 1, 0, p; }"
            : "=r"(done)
            : "r"(barrier + 8 * get), "r"(phase), "r"(kHint)
            : "memory");
      else
        asm volatile(
            "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, "
            "0, p; }"
            : "=r"(done)
            : "r"(barrier + 8 * get), "r"(phase)
            : "memory");
    } while (!done);
    const unsigned char* tile = ring + get * kStage;
    if constexpr (kMode == kLoad) {
      for (int i = lane; i < kChunks; i += 32)
#pragma unroll
        for (int row = 0; row < kRows; ++row) load_kept(address(tile + row * kPitch + i * 16));
    }
    if constexpr (kMode == kFma) {
      const auto* planes = reinterpret_cast<const float4*>(x);
      for (int i = lane; i < kChunks; i += 32) {
        const float4 a = planes[slice * kChunks + i], b = planes[448 + slice * kChunks + i];
        const float2 xf[4] = {{a.x, a.y}, {a.z, a.w}, {b.x, b.y}, {b.z, b.w}};
#pragma unroll
        for (int row = 0; row < kRows; ++row)
          sums[row % 4] = dot8(*reinterpret_cast<const uint4*>(tile + row * kPitch + i * 16), xf,
                               sums[row % 4]);
      }
    }
    if constexpr (kMode == kColumns || kMode == kRowsTwice) {
      static_assert(kMode < kColumns || kRows == 8);
      const auto* row = reinterpret_cast<const uint4*>(tile + g * kPitch) + c;
#pragma unroll
      for (int j = 0; j < kChunks / 4; ++j) {
        const uint4 w = row[4 * j], v = held[j];
        if constexpr (kMode == kColumns) {
          mma16816<__half>(sums, v.x, 0u, v.y, 0u, w.x, w.y);
          mma16816<__half>(more, v.z, 0u, v.w, 0u, w.z, w.w);
        } else {
          mma16816<__half>(j % 2 ? more : sums, w.x, w.z, w.y, w.w, v.x, v.y);
        }
      }
    }
    __syncwarp();
    if (++get == kDepth) get = 0, phase ^= 1;
    request();
  }
  const float sum = sums[0] + sums[1] + sums[2] + sums[3] + more[0] + more[1];
  if (sum == 1.2345f) *sink = sum;
}

// Normal weights of standard deviation 0.02, or zeros.
__global__ void fill_kernel(__half* to, int64_t n, bool random) {
  for (int64_t i = blockIdx.x * int64_t(blockDim.x) + threadIdx.x; i < n;
       i += int64_t(gridDim.x) * blockDim.x) {
    uint64_t z = (i + 1) * 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    const float u = (float(z >> 40) + 0.5f) / (1 << 24), v = float(z & 0xffffff) / (1 << 24);
    to[i] = __float2half(random ? 0.02f * sqrtf(-2 * __logf(u)) * __cosf(6.2831853f * v) : 0.0f);
  }
}

// The driver's library, loaded at run time.
class Nvml {
 public:
  Nvml() {
    void* lib = dlopen("libnvidia-ml.so.1", RTLD_NOW);
    if (!lib) std::printf("no libnvidia-ml.so.1\n"), std::exit(1);
    reinterpret_cast<int (*)()>(dlsym(lib, "nvmlInit_v2"))();
    reinterpret_cast<int (*)(unsigned, void**)>(dlsym(lib, "nvmlDeviceGetHandleByIndex_v2"))(
        0, &device_);
    energy_ =
        reinterpret_cast<decltype(energy_)>(dlsym(lib, "nvmlDeviceGetTotalEnergyConsumption"));
    clock_ = reinterpret_cast<decltype(clock_)>(dlsym(lib, "nvmlDeviceGetClockInfo"));
  }
  unsigned clock() {
    unsigned mhz = 0;
    clock_(device_, 1, &mhz);
    return mhz;
  }
  // Waits for the counter's next update.
  void next(double& joules, double& seconds) {
    const unsigned long long before = read();
    unsigned long long now = before;
    while (now == before) now = read();
    joules = now * 1e-3;
    seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

 private:
  unsigned long long read() {
    unsigned long long mj = 0;
    energy_(device_, &mj);
    return mj;
  }
  void* device_ = nullptr;
  int (*energy_)(void*, unsigned long long*) = nullptr;
  int (*clock_)(void*, int, unsigned*) = nullptr;
};

struct Lab {
  Nvml nvml;
  double window;
  char* weights;
  float* sink;

  template <int kWarps, int kRows, Mode kMode, int kHint = 0, Copies kCopies = kPieces>
  void measure(const char* data, const char* what) {
    auto* kernel = stream_kernel<kWarps, kRows, kMode, kHint, kCopies>;
    const int bytes = kWarps * kDepth * kRows * kPitch + 16384 + kWarps * kDepth * 8;
    CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    std::atomic<bool> stop = false;
    float ms = 0;
    int launches = 0;
    std::thread feeder([&] {
      cudaEvent_t begin, end;
      CUDA(cudaEventCreate(&begin));
      CUDA(cudaEventCreate(&end));
      CUDA(cudaEventRecord(begin));
      for (; !stop; ++launches) {
        kernel<<<kBlocks, kWarps * 32, bytes>>>(weights, sink);
        if (launches % 100 == 99) CUDA(cudaDeviceSynchronize());
      }
      CUDA(cudaEventRecord(end));
      CUDA(cudaEventSynchronize(end));
      CUDA(cudaEventElapsedTime(&ms, begin, end));
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    double e0, t0, e1, t1;
    nvml.next(e0, t0);
    std::this_thread::sleep_for(std::chrono::duration<double>(window));
    const unsigned mhz = nvml.clock();
    nvml.next(e1, t1);
    stop = true;
    feeder.join();
    const double rate = kBytes * double(launches) / (ms * 1e-3), watts = (e1 - e0) / (t1 - t0);
    std::printf("%-7s %2d warps  %-22s %5.0f GB/s %5.0f W %5.0f MHz  %5.3f J per 14.14 GB\n", data,
                kWarps, what, rate * 1e-9, watts, double(mhz), watts * 14.14e9 / rate);
    std::fflush(stdout);
  }
};

}  // namespace

int main(int argc, char** argv) {
  Lab lab;
  lab.window = argc > 1 ? std::atof(argv[1]) : 1.5;
  CUDA(cudaMalloc(&lab.weights, kBytes));
  CUDA(cudaMalloc(&lab.sink, 4));
  for (bool random : {false, true}) {
    const char* data = random ? "random" : "zeros";
    fill_kernel<<<1056, 256>>>(reinterpret_cast<__half*>(lab.weights), kBytes / 2, random);
    CUDA(cudaDeviceSynchronize());
    lab.measure<16, 4, kFma>(data, "fma");
    lab.measure<8, 8, kRowsTwice>(data, "mma, weights as rows");
    if (!random) continue;
    lab.measure<8, 8, kCopy>(data, "copy");
    lab.measure<8, 8, kLoad>(data, "load");
    lab.measure<8, 8, kColumns>(data, "mma, as columns");
    lab.measure<8, 8, kCopy, 0, kRow>(data, "copy, 7168 bytes");
    lab.measure<1, 64, kCopy, 0, kEightRows>(data, "copy, 57344 bytes");
    lab.measure<8, 8, kCopy, 0, kPiecesInterleaved>(data, "copy, interleaved");
    lab.measure<8, 8, kCopy, 0, kPiecesEvictFirst>(data, "copy, evict first");
    lab.measure<8, 8, kCopy>(data, "copy");
  }
}
