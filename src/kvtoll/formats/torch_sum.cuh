// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// torch_sum.h on the device, where every term is computed when it is added: value(i) is called once
// for each i. A contiguous sum has 32 chains, of the elements i % 32, so a warp adds it with a lane
// a chain; where it is long, others add nodes (2^(2 power) terms of each chain) first.
#pragma once

#include <cuda_runtime.h>

namespace kvtoll::device_formats {

// One chain with its four levels of partial sums.
class TorchChain {
 public:
  // power: torch_sum_power(number of terms).
  __device__ explicit TorchChain(int power) : power_(power), step_(1 << power) {}

  // The next n terms; only the last ones may leave a block of 2^power unfinished.
  template <class Value>
  __device__ __forceinline__ void add(int n, const Value& value) {
    int i = 0;
    for (; i + step_ <= n; i += step_) {
      float block = 0.0f;
#pragma unroll 4
      for (int k = 0; k < step_; ++k) block += value(i + k);
      count_ += step_;
      level_[1] += block;
      if ((count_ & ((step_ - 1) << power_)) == 0) carry_second();
    }
    for (; i < n; ++i) level_[0] += value(i);
  }
  // The next 2^(2 power) terms, added by a chain of their own.
  __device__ __forceinline__ void add_node(float node) {
    count_ += 1 << (2 * power_);
    level_[1] = node;
    carry_second();
  }
  __device__ __forceinline__ float sum() const {
    return ((level_[0] + level_[1]) + level_[2]) + level_[3];
  }

 private:
  __device__ __forceinline__ void carry_second() {
    level_[2] += level_[1], level_[1] = 0.0f;
    if (count_ & ((step_ - 1) << (2 * power_))) return;
    level_[3] += level_[2], level_[2] = 0.0f;
  }

  int power_, step_, count_ = 0;
  float level_[4] = {};
};

// n rows of one column as four interleaved chains (a column after torch_sum_straight()). power:
// torch_sum_power(n / 4).
template <class Value>
__device__ __forceinline__ float torch_four_chains(int n, int power, const Value& value) {
  float sum = 0.0f;
#pragma unroll 1
  for (int k = 0; k < 4; ++k) {
    TorchChain chain(power);
    chain.add(n / 4, [&](int i) { return value(4 * i + k); });
    sum += chain.sum();
    for (int i = n / 4 * 4; k == 0 && i < n; ++i) sum += value(i);
  }
  return sum;
}

// The sum of n contiguous elements from what each lane of a warp has: the sum of its chain's n / 32
// terms, and `last`, the element n / 32 * 32 + lane if there is one. All lanes get it.
__device__ __forceinline__ float torch_join_chains(int n, float chain, float last) {
  const int rest = n % 32, lane = threadIdx.x % 32, column = lane % 8;
  const auto of = [](float x, int from) { return __shfl_sync(~0u, x, from); };
  if (n < 8) {
    const bool four = n >= 4;
    float few[4] = {};
    for (int k = 0; four && k < 4; ++k) few[k] = of(last, k);
    for (int k = four ? 4 : 0; k < n; ++k) few[0] += of(last, k);
    return ((few[0] + few[1]) + few[2]) + few[3];
  }
  for (int row = 0; row < rest / 8; ++row) {
    const float x = of(last, 8 * row + column);
    if (lane < 8) chain += x;
  }
  float sum = 0.0f;
  for (int k = rest / 8 * 8; k < rest; ++k) sum += of(last, k);
  const float columns = ((of(chain, column) + of(chain, 8 + column)) + of(chain, 16 + column)) +
                        of(chain, 24 + column);
  for (int k = 0; k < 8; ++k) sum += of(columns, k);
  return sum;
}

}  // namespace kvtoll::device_formats
