// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Clusters of thread blocks (compute capability 9.0 and up): blocks that run at the same time and
// write to each other's shared memory. In a launch without clusters only cluster_blocks() may be
// called, which is 1. Blocks that have returned count as arrived.
#pragma once

#include "kvtoll/device/mbarrier.cuh"

namespace kvtoll {

__device__ __forceinline__ int cluster_blocks() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  uint32_t n;
  asm("mov.u32 %0, %%cluster_nctaid.x;" : "=r"(n));
  return static_cast<int>(n);
#else
  return 1;
#endif
}

// All threads of all blocks meet. Nothing else is ordered: neither arriving nor sending below waits
// for writes under way, which takes microseconds while weights stream.
__device__ __forceinline__ void cluster_arrive() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.arrive.relaxed.aligned;" ::: "memory");
#endif
}
__device__ __forceinline__ void cluster_wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("barrier.cluster.wait.aligned;" ::: "memory");
#endif
}

// Counts bytes that blocks of the cluster send into this block's shared memory, once. One thread
// calls init() before the cluster meets, any block sends after that, all threads of this block
// wait.
struct ClusterInbox {
  uint64_t barrier;  // in shared memory

  __device__ __forceinline__ void init(int bytes) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    barrier_init(shared_address(&barrier), 1);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    barrier_expect(shared_address(&barrier), bytes);
#endif
  }
  __device__ __forceinline__ void wait() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    uint32_t done = 0;
    while (!done)
      asm volatile(
          "{ .reg .pred p; mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], 0; "
          "selp.u32 %0, 1, 0, p; }"
          : "=r"(done)
          : "r"(shared_address(&barrier))
          : "memory");
#endif
  }
};

// Writes v to where `to`, an address in this block's shared memory, is in block `rank`, and counts
// its bytes in that block's inbox.
__device__ __forceinline__ void send_to_block(float4* to, float4 v, ClusterInbox* inbox, int rank) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  uint32_t at, barrier;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(at) : "r"(shared_address(to)), "r"(rank));
  asm("mapa.shared::cluster.u32 %0, %1, %2;"
      : "=r"(barrier)
      : "r"(shared_address(&inbox->barrier)), "r"(rank));
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, "
      "[%5];" ::"r"(at),
      "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w), "r"(barrier)
      : "memory");
#else
  *to = v;
#endif
}

}  // namespace kvtoll
