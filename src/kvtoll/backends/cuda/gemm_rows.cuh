// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How the blocks of gemm_rows_sm90_kernel share a product. A cluster owns a range of rows of the
// weights, each of its blocks a part of k. Of the sums of a unit of 32 rows each block finishes
// some columns (rows of x). Compiled for sm_90a only.
#pragma once

#include "kvtoll/backends/cuda/bulk_copy.cuh"
#include "kvtoll/backends/cuda/gemm_rows.h"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/device/cluster.cuh"

namespace kvtoll::cuda::gemm_rows {

struct Params : GemmRowsParams {
  GemmRowsPlan plan;
};

struct Cut {
  int first, count;
};
// A range in parts as even as can be, the longer ones first. Divides once: a part is asked for with
// every piece.
struct Even {
  int first, each, longer;
  __device__ __forceinline__ Even(Cut whole, int parts)
      : first(whole.first), each(whole.count / parts), longer(whole.count - each * parts) {}
  __device__ __forceinline__ Cut operator[](int i) const {
    return {first + i * each + min(i, longer), each + (i < longer)};
  }
};

// Rows of a cluster: eights, so that sums of four lie together.
__device__ __forceinline__ Cut rows_of(int rows, int cluster, int clusters) {
  const Cut eights = Even({0, (rows + 7) / 8}, clusters)[cluster];
  return {8 * eights.first, min(8 * eights.count, rows - 8 * eights.first)};
}
// Steps of k of a block.
__device__ __forceinline__ Cut steps_of(int k, int rank, int cluster) {
  return Even({0, k / kGemmStep}, cluster)[rank];
}

// Where a block stands: its rows, its steps of k, its shared memory.
struct Place {
  int rank, first, end, units;
  Cut steps;
  uint32_t x, ring, barriers;

  __device__ Place(const Params& p, unsigned char* shared)
      : rank(blockIdx.x % p.plan.cluster), steps(steps_of(p.k, rank, p.plan.cluster)) {
    const Cut rows = rows_of(p.rows, blockIdx.x / p.plan.cluster, p.plan.clusters);
    first = rows.first;
    end = rows.first + rows.count;
    units = (rows.count + kGemmUnit - 1) / kGemmUnit;
    x = shared_address(shared);
    ring = x + p.plan.ring();
    barriers = x + p.plan.barriers();
  }
  __device__ uint32_t x_full() const { return barriers + 16; }  // behind the two boxes'
  __device__ uint32_t full(int stage) const { return barriers + 24 + 16 * stage; }
  __device__ uint32_t empty(int stage) const { return barriers + 32 + 16 * stage; }
};

// The order in which pieces flow: units of rows, in them pieces of k.
struct Walk {
  const GemmRowsPlan& plan;
  Even pieces;
  int unit = 0, piece = 0;
  int stage = 0;
  uint32_t phase = 0;

  __device__ Walk(const GemmRowsPlan& plan, const Place& at)
      : plan(plan), pieces(at.steps, plan.pieces) {}
  __device__ __forceinline__ Cut steps() const { return pieces[piece]; }

  // Whether the piece was the last of its unit.
  __device__ __forceinline__ bool next() {
    if (++stage == plan.depth) stage = 0, phase ^= 1;
    if (++piece < plan.pieces) return false;
    piece = 0;
    ++unit;
    return true;
  }
};

// Four rows of one column.
struct Quad {
  int column, row;
};

// What is added to the sums: bias, and what out holds.
__device__ __forceinline__ float4 base_of(const Params& p, const Place& at, const Quad& q) {
  float v[4] = {};
  if (q.column >= p.n || q.row >= at.end) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  const int count = min(4, at.end - q.row);
  if (p.bias)
    for (int i = 0; i < count; ++i) v[i] = __ldg(p.bias + q.row + i);
  if (p.finish == GemmFinish::kAdd) {
    const float* out = static_cast<const float*>(p.out) + int64_t(q.column) * p.rows + q.row;
    for (int i = 0; i < count; ++i) v[i] += __ldcg(out + i);
  }
  return make_float4(v[0], v[1], v[2], v[3]);
}

template <class T>
__device__ __forceinline__ void finish(const Params& p, const Place& at, const Quad& q, float4 v) {
  if (q.column >= p.n || q.row >= at.end) return;
  const int count = min(4, at.end - q.row);
  const int64_t to = int64_t(q.column) * p.rows + q.row;
  if (p.finish == GemmFinish::kGate) {
    T* out = static_cast<T*>(p.out) + to / 2;
    out[0] = from_float<T>(silu(v.x) * v.y);
    if (count > 2) out[1] = from_float<T>(silu(v.z) * v.w);
    return;
  }
  float* out = static_cast<float*>(p.out) + to;
  if (p.rows % 4 == 0) return __stcg(reinterpret_cast<float4*>(out), v);
  const float values[4] = {v.x, v.y, v.z, v.w};
  for (int i = 0; i < count; ++i) __stcg(out + i, values[i]);
}

__device__ __forceinline__ float4 add(float4 a, float4 b) {
  return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}

// A unit's sums: of the block's slices and then of the blocks of the cluster, each of which gets
// its columns from all. Two boxes in turn: all threads of a block have read a unit before any of
// them sends the next, so who has received a unit may send the one after it.
template <class T>
struct Exchange {
  const Params& p;
  const Place& at;
  unsigned char* shared;
  int cluster = p.plan.cluster;
  int items = kGemmColumns / cluster * 8;  // quads of a unit that a block finishes
  int sent = 0;
  Quad last{};  // what of the unit in the box this thread finishes
  float4 base{};

  // Threads are dealt out evenly to the blocks they send to.
  __device__ int dealt() const { return 32 * kGemmWarps / cluster; }
  __device__ int owner() const { return threadIdx.x / dealt(); }
  __device__ int item() const { return threadIdx.x % dealt(); }
  __device__ bool finishes() const { return threadIdx.x < items; }
  __device__ Quad finished(int unit) const {
    const auto quad = static_cast<int>(at.rank * items + threadIdx.x);
    return {quad / 8, at.first + unit * kGemmUnit + 4 * (quad % 8)};
  }
  __device__ float4* box(int half) const {
    return reinterpret_cast<float4*>(shared + p.plan.boxes() + half * p.plan.unit_bytes());
  }
  __device__ ClusterInbox* inbox(int half) const {
    return reinterpret_cast<ClusterInbox*>(shared + p.plan.barriers()) + half;
  }

  // Before a unit is multiplied.
  __device__ __forceinline__ void begin(int unit) {
    if (cluster == 1 && finishes()) base = base_of(p, at, finished(unit));
  }

  // The unit sent last: waits for the others' sums of it and finishes our columns.
  __device__ __forceinline__ void finish_last() {
    if (!sent) return;
    const int half = (sent - 1) & 1;
    inbox(half)->wait((sent - 1) >> 1);
    if (threadIdx.x == 0) inbox(half)->arm(p.plan.unit_bytes());
    if (!finishes()) return;
    float4 sum = base;
    for (int i = 0; i < cluster; ++i) sum = add(sum, box(half)[i * items + threadIdx.x]);
    finish<T>(p, at, last, sum);
  }

  // After a unit has been multiplied and all slices' sums are there.
  __device__ __forceinline__ void add_up(int unit) {
    const bool sends = item() < items;
    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (sends) {
      const int quad = owner() * items + item();
      const float4* from = reinterpret_cast<const float4*>(shared + p.plan.sums()) +
                           quad / 8 * (kGemmSumStride / 4) + quad % 8;
#pragma unroll
      for (int i = 0; i < kGemmSlices; ++i)
        sum = add(sum, from[i * kGemmColumns * (kGemmSumStride / 4)]);
    }
    if (cluster == 1) {
      if (sends) finish<T>(p, at, finished(unit), add(base, sum));
      return;
    }
    const int half = sent & 1;
    if (sends) send_to_block(box(half) + at.rank * items + item(), sum, inbox(half), owner());
    ++sent;
    last = finished(unit);
    if (finishes()) base = base_of(p, at, last);
  }
};

}  // namespace kvtoll::cuda::gemm_rows
