// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// How the warps of a matrix-vector kernel (gemv.cuh) meet: once at its start, and batch by batch
// where the sums of the multiplying warps go to the one that finishes rows.
#pragma once

#include "kvtoll/device/mbarrier.cuh"

namespace kvtoll::cuda {

inline constexpr int kGemvBatch = 32;   // rows that are finished together: one per lane
inline constexpr int kGemvBatches = 4;  // whose partial sums may wait to be finished

// Partial sums on their way from the multiplying warps to the finishing one; these wait for each
// other only if kGemvBatches batches lie between them.
template <int kWarps>
class SumExchange {
 public:
  static constexpr int kBarrierBytes = 2 * kGemvBatches * 8;

  // sums: [batches][warps][batch]; barriers: kBarrierBytes, 8-byte aligned.
  __device__ SumExchange(unsigned char* sums, unsigned char* barriers)
      : sums_(reinterpret_cast<float*>(sums)),
        full_(shared_address(barriers)),
        empty_(full_ + 8 * kGemvBatches) {}

  // One thread of the finishing warp; the others use the exchange after a barrier.
  __device__ __forceinline__ void init() const {
    for (int i = 0; i < kGemvBatches; ++i) {
      barrier_init(full_ + 8 * i, kWarps * 32);
      barrier_init(empty_ + 8 * i, 32);
    }
  }
  // A multiplying warp: where its sums of a batch go, as soon as there is room.
  __device__ __forceinline__ float* place(int batch, int warp) const {
    if (batch >= kGemvBatches) barrier_wait(empty_ + at(batch), (lap(batch) - 1) & 1);
    return of(batch) + warp * kGemvBatch;
  }
  __device__ __forceinline__ void hand_over(int batch) const { barrier_arrive(full_ + at(batch)); }
  // The finishing warp: the sums of a batch.
  __device__ __forceinline__ const float* wait(int batch) const {
    barrier_wait(full_ + at(batch), lap(batch) & 1);
    return of(batch);
  }
  __device__ __forceinline__ void release(int batch) const { barrier_arrive(empty_ + at(batch)); }

 private:
  static __device__ __forceinline__ int at(int batch) { return batch % kGemvBatches * 8; }
  static __device__ __forceinline__ int lap(int batch) { return batch / kGemvBatches; }
  __device__ __forceinline__ float* of(int batch) const {
    return sums_ + batch % kGemvBatches * kWarps * kGemvBatch;
  }

  float* sums_;
  uint32_t full_, empty_;
};

// Where the multiplying warps meet before they use what the other two have prepared, which do not
// wait for them. (Barriers of the hardware's: a block barrier in three places is none for CUDA.)
template <int kThreads>
struct StartBarrier {
  static __device__ __forceinline__ void arrive() {
    asm volatile("bar.arrive 1, %0;" ::"n"(kThreads) : "memory");
  }
  static __device__ __forceinline__ void wait() {
    asm volatile("bar.sync 1, %0;" ::"n"(kThreads) : "memory");
  }
};

}  // namespace kvtoll::cuda
