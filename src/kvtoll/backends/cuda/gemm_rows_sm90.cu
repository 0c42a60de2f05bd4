// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A product of 2 to 8 rows. Eight warps of a block copy: pieces of 32 rows of weights into a ring,
// ahead of everything; eight multiply on tensor cores (four slices of k by two halves of the rows).
#include "kvtoll/backends/cuda/gemm_rows.cuh"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {
namespace {

using namespace gemm_rows;

constexpr int kThreads = 32 * (kGemmWarps + kGemmCopiers);

// One of the warps that copy: a few rows of every unit.
struct Copier {
  static constexpr int kRows = kGemmUnit / kGemmCopiers;
  const Params& p;
  const Place& at;
  int index, lane;

  __device__ __forceinline__ void request(const Walk& walk) const {
    if (lane != 0) return;
    const Cut steps = walk.steps();
    const int unit = walk.unit * kGemmUnit, rows = min(kGemmUnit, at.end - at.first - unit);
    const int begin = index * kRows, end = min(rows, begin + kRows), bytes = steps.count * 32;
    const int64_t stride = int64_t(p.k) * 2;
    const char* from = static_cast<const char*>(p.weights) + (at.first + unit + begin) * stride +
                       steps.first * kGemmStep * 2;
    const uint32_t barrier = at.full(walk.stage);
    uint32_t to = at.ring + walk.stage * p.plan.stage_bytes() + begin * p.plan.w_stride;
    if (index == 0) barrier_expect(barrier, rows * bytes);
    if (!bytes) return;
#pragma unroll 1
    for (int r = begin; r < end; ++r, from += stride, to += p.plan.w_stride)
      bulk_copy(to, from, bytes, barrier);
  }

  // This block's part of every row of x.
  __device__ __forceinline__ void request_x() const {
    if (lane != 0) return;
    const int bytes = at.steps.count * 32;
    if (index == 0) barrier_expect(at.x_full(), p.n * bytes);
    if (!bytes) return;
#pragma unroll 1
    for (int r = index; r < p.n; r += kGemmCopiers)
      bulk_copy(at.x + r * p.plan.x_stride,
                static_cast<const char*>(p.x) + (int64_t(r) * p.k + at.steps.first * kGemmStep) * 2,
                bytes, at.x_full());
  }

  // What the same block of the next product asks for first.
  __device__ __forceinline__ void prefetch_next() const {
    const NextGemm& next = p.next;
    if (!next.weights || blockIdx.x >= next.cluster * next.clusters) return;
    const Cut rows = rows_of(next.rows, blockIdx.x / next.cluster, next.clusters);
    const Cut steps = steps_of(next.k, blockIdx.x % next.cluster, next.cluster);
    const int row = index * kRows + lane;
    if (lane < kRows && row < rows.count)
      bulk_prefetch(static_cast<const char*>(next.weights) +
                        (int64_t(rows.first + row) * next.k + steps.first * kGemmStep) * 2,
                    min(steps.count * 32, kGemmNextBytes));
  }

  __device__ __forceinline__ void run() const {
    const int total = at.units * p.plan.pieces;
    Walk ask(p.plan, at), read = ask;  // what to ask for, what will have been read next
    int asked = 0, stage = 0;          // the stage asked for last, and its phase
    uint32_t phase = 0;
    const auto request_next = [&] {
      request(ask);
      stage = ask.stage, phase = ask.phase;
      ask.next();
      ++asked;
    };
    while (asked < min(total, p.plan.depth)) request_next();
    pdl_wait();
    if (!total) return;
    request_x();
    while (asked < total) {
      barrier_wait(at.empty(read.stage), read.phase);
      read.next();
      request_next();
    }
    barrier_wait(at.full(stage), phase);
    prefetch_next();
  }
};

__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row));
}
__device__ __forceinline__ void load_matrices(uint32_t (&r)[2], uint32_t row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(row));
}

// A warp's slice of a piece: 16 rows of weights by the rows of x, `steps` times 16 of k.
template <class T>
__device__ __forceinline__ void multiply_slice(const GemmRowsPlan& plan, uint32_t weights,
                                               uint32_t x, int steps, int lane, float (&sums)[4]) {
  const uint32_t w_row = weights + lane % 16 * plan.w_stride + lane / 16 * 16;
  const uint32_t x_row = x + lane % 8 * plan.x_stride + lane / 8 % 2 * 16;
#pragma unroll 4
  for (int i = 0; i < steps; ++i) {
    uint32_t a[4], b[2];
    load_matrices(a, w_row + i * 32);
    load_matrices(b, x_row + i * 32);
    mma16816<T>(sums, a[0], a[1], a[2], a[3], b[0], b[1]);
  }
}

__device__ __forceinline__ void sync_multipliers() {
  asm volatile("bar.sync 1, %0;" ::"n"(32 * kGemmWarps) : "memory");
}

template <class T>
__device__ __forceinline__ void multiply_all(const Params& p, const Place& at,
                                             unsigned char* shared) {
  const GemmRowsPlan& plan = p.plan;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int slice = warp % kGemmSlices, half = warp / kGemmSlices;
  // Sums of a slice lie column by column; this lane's are two columns of rows g and g + 8.
  float* partial = reinterpret_cast<float*>(shared + plan.sums()) +
                   (slice * kGemmColumns + lane % 4 * 2) * kGemmSumStride + 16 * half + lane / 4;
  Exchange<T> exchange{p, at, shared};
  Walk walk(plan, at);
  float sums[4] = {};
  pdl_wait();
  if (!at.units) return;
  exchange.begin(0);
  barrier_wait(at.x_full(), 0);
  while (walk.unit < at.units) {
    const Cut piece = walk.steps(), mine = Even(piece, kGemmSlices)[slice];
    barrier_wait(at.full(walk.stage), walk.phase);
    multiply_slice<T>(plan,
                      at.ring + walk.stage * plan.stage_bytes() + 16 * half * plan.w_stride +
                          (mine.first - piece.first) * 32,
                      at.x + (mine.first - at.steps.first) * 32, mine.count, lane, sums);
    __syncwarp();
    if (lane == 0) barrier_arrive(at.empty(walk.stage));
    const int unit = walk.unit;
    if (!walk.next()) continue;
    sync_multipliers();  // the sums before have been read
    exchange.finish_last();
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      partial[i % 2 * kGemmSumStride + i / 2 * 8] = sums[i];
      sums[i] = 0.0f;
    }
    sync_multipliers();
    exchange.add_up(unit);
    if (walk.unit < at.units) exchange.begin(walk.unit);
  }
  exchange.finish_last();
}

}  // namespace

template <class T>
__global__ void __launch_bounds__(kThreads, 1)
    gemm_rows_sm90_kernel(const __grid_constant__ gemm_rows::Params p) {
  extern __shared__ __align__(128) unsigned char shared[];
  pdl_trigger();
  const Place at(p, shared);
  if (threadIdx.x == 0) {
    auto* inboxes = reinterpret_cast<ClusterInbox*>(shared + p.plan.barriers());
    for (int i = 0; i < 2; ++i) inboxes[i].init(p.plan.unit_bytes());
    barrier_init(at.x_full(), 1);
    for (int i = 0; i < p.plan.depth; ++i)
      barrier_init(at.full(i), 1), barrier_init(at.empty(i), kGemmWarps);
    barrier_publish();
  }
  __syncthreads();
  // Before blocks write to each other all must have come so far. (Without clusters the compiler
  // makes a barrier of the block of this, which would wait for the copies.)
  const bool clustered = p.plan.cluster > 1;
  if (clustered) cluster_arrive();
  if (threadIdx.x < 32 * kGemmWarps) {
    if (clustered) cluster_wait();
    multiply_all<T>(p, at, shared);
  } else {
    Copier{p, at, int(threadIdx.x) / 32 - kGemmWarps, int(threadIdx.x) % 32}.run();
    __syncwarp();
    if (clustered) cluster_wait();
  }
}

namespace {

auto kernel_of(DType dtype) {
  return dtype == DType::kF16 ? gemm_rows_sm90_kernel<__half>
                              : gemm_rows_sm90_kernel<__nv_bfloat16>;
}

LaunchShape shape_of(int cluster, int clusters, int shared) {
  LaunchShape shape;
  shape.cluster = cluster;
  shape.grid = dim3(static_cast<unsigned>(clusters * cluster));
  shape.block = dim3(kThreads);
  shape.shared = static_cast<size_t>(shared);
  return shape;
}

}  // namespace

void launch_gemm_rows_sm90(const GemmRowsParams& p, const GemmRowsPlan& plan, DType dtype,
                           const LaunchContext& launch) {
  LaunchShape shape = shape_of(plan.cluster, plan.clusters, plan.total());
  shape.overlap = launch.overlap;
  launch_kernel(kernel_of(dtype), shape, launch.stream, gemm_rows::Params{p, plan});
}

int gemm_rows_sm90_clusters(int cluster, int limit) {
  return resident_clusters(kernel_of(DType::kF16), shape_of(cluster, 1, limit));
}

void prepare_gemm_rows_sm90(int limit) {
  for (DType dtype : {DType::kF16, DType::kBF16})
    allow_shared(kernel_of(dtype), static_cast<size_t>(limit));
}

}  // namespace kvtoll::cuda
