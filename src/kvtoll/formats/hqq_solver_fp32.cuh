// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// One iteration of the fp32 form of HQQ's solver (specification: hqq_solver.h), every sum in
// torch's order (torch_sum.h). The mean error of the whole tensor comes first, while z is still the
// one it belongs to: hqq_error_kernel adds the nodes of its chains, hqq_mean_kernel what is left of
// them and the mean; then hqq_rezero_kernel moves z. The cache's dtype is known at run time alone:
// the GPU's own HQQ is the fp16 form, so this one is kept small rather than fast.
#pragma once

#include "kvtoll/formats/hqq_solver.cuh"
#include "kvtoll/formats/torch_sum.cuh"

namespace kvtoll::device_formats {

// How the kernels add: made by the launcher from the sizes (torch_sum_power).
struct TorchOrder {
  int n = 0;            // values of the tensor
  int power = 0;        // of its 32 chains of n / 32 terms
  int nodes = 0;        // of each of them, whole ones
  int group_power = 0;  // of a group's chains: a row's 32, or a straight column's one
  int straight = 0;     // columns added as one chain
  int four_power = 0;   // of the four chains of the columns after them
};

// x of every sequence, `stride` elements apart, in the cache's dtype.
struct CacheValues {
  const void* first = nullptr;
  int64_t stride = 0;
  DType dtype = DType::kF16;
  __device__ __forceinline__ CacheValues at(int place) const {
    return {static_cast<const char*>(first) + place * stride * (dtype == DType::kF32 ? 4 : 2), 0,
            dtype};
  }
  __device__ __forceinline__ float operator[](int64_t i) const {
    if (dtype == DType::kF16) return __half2float(static_cast<const __half*>(first)[i]);
    if (dtype == DType::kBF16) return __bfloat162float(static_cast<const __nv_bfloat16*>(first)[i]);
    return static_cast<const float*>(first)[i];
  }
};

// |e| of the tensor's element i.
struct ErrorOf {
  CacheValues x;
  const float* __restrict__ s, * __restrict__ z;
  const Groups& groups;
  const GroupOf& group_of;
  float levels;
  __device__ __forceinline__ float operator()(int i) const {
    const int g = group_of.of(i);
    return fabsf(SolverElement<float>(x[groups.address(i)], s[g], z[g], levels).e);
  }
};

// nodes: [node][chain]; a block of threads a node, a warp for each 2^power terms of its chains.
static __global__ void hqq_error_kernel(CacheValues xs, Groups groups, GroupOf group_of,
                                        TorchOrder order, float levels, Strided<const float> ss,
                                        Strided<const float> zs, int i, const float* errors,
                                        Strided<float> nodes, const __grid_constant__ KvRows rows) {
  constexpr int kMostPower = 6;  // of 2^31 values
  __shared__ float sums[1 << kMostPower][32];
  if (!still_falls(errors, rows, i, groups)) return;
  const ErrorOf error{
      xs.at(values_of(rows)), ss.at(blockIdx.y), zs.at(blockIdx.y), groups, group_of, levels};
  const int node = static_cast<int>(blockIdx.x), lane = threadIdx.x % 32, step = 1 << order.power;
  for (int b = static_cast<int>(threadIdx.x / 32); b < step;
       b += static_cast<int>(blockDim.x / 32)) {
    float sum = 0.0f;
#pragma unroll 8
    for (int k = 0; k < step; ++k) sum += error(32 * ((node * step + b) * step + k) + lane);
    sums[b][lane] = sum;
  }
  __syncthreads();
  if (threadIdx.x >= 32) return;
  float sum = 0.0f;
  for (int b = 0; b < step; ++b) sum += sums[b][lane];
  nodes.at(blockIdx.y)[32 * node + lane] = sum;
}

// The mean error, errors[i][row]; a warp a row.
static __global__ void hqq_mean_kernel(CacheValues xs, Groups groups, GroupOf group_of,
                                       TorchOrder order, float levels, Strided<const float> ss,
                                       Strided<const float> zs, int i,
                                       Strided<const float> partials, float* errors,
                                       const __grid_constant__ KvRows rows) {
  if (!still_falls(errors, rows, i, groups)) return;
  if (threadIdx.x >= 32) return;
  const int lane = threadIdx.x, terms = order.n / 32;
  const int first = order.nodes << (2 * order.power), tail = 32 * terms + lane;
  const ErrorOf error{
      xs.at(values_of(rows)), ss.at(blockIdx.y), zs.at(blockIdx.y), groups, group_of, levels};
  const float* __restrict__ nodes = partials.at(blockIdx.y);
  TorchChain chain(order.power);
#pragma unroll 8
  for (int node = 0; node < order.nodes; ++node) chain.add_node(nodes[32 * node + lane]);
  chain.add(terms - first, [&](int k) { return error(32 * (first + k) + lane); });
  const float sum = torch_join_chains(order.n, chain.sum(), tail < order.n ? error(tail) : 0.0f);
  if (lane == 0)
    errors[i * rows.count + static_cast<int>(blockIdx.y)] =
        __fdiv_rn(sum, static_cast<float>(order.n));
}

// The new z of every group.
template <bool kWarp>
__global__ void hqq_rezero_kernel(CacheValues xs, Groups groups, TorchOrder order, float levels,
                                  Strided<const float> ss, Strided<float> zs, int i,
                                  const float* errors, const __grid_constant__ KvRows rows) {
  if (!still_falls(errors, rows, i, groups)) return;
  const int g = my_group<kWarp>(groups), n = groups.size;
  if (g < 0) return;
  const CacheValues x = xs.at(values_of(rows));
  float* __restrict__ z = zs.at(blockIdx.y);
  const float scale = ss.at(blockIdx.y)[g], zero = z[g];
  const auto term = [&](int j) {
    return SolverElement<float>(x[groups.address(groups.linear(g, j))], scale, zero, levels).term();
  };
  TorchChain chain(order.group_power);
  float sum = 0.0f;
  if constexpr (kWarp) {
    const int lane = threadIdx.x % 32, tail = n / 32 * 32 + lane;
    chain.add(n / 32, [&](int k) { return term(32 * k + lane); });
    sum = torch_join_chains(n, chain.sum(), tail < n ? term(tail) : 0.0f);
  } else if (g < order.straight) {
    chain.add(n, term);
    sum = chain.sum();
  } else {
    sum = torch_four_chains(n, order.four_power, term);
  }
  if (!kWarp || threadIdx.x % 32 == 0) z[g] = __fdiv_rn(sum, static_cast<float>(n));
}

}  // namespace kvtoll::device_formats
