// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Copies from global into shared memory that run beside the program: on sm_90 one thread asks the
// bulk copy engine and an mbarrier tells when the bytes are there; on sm_80 a warp's lanes copy 16
// bytes each (cp.async). Addresses and counts are multiples of 16.
#pragma once

#include "kvtoll/device/mbarrier.cuh"

namespace kvtoll::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define KVTOLL_BULK_COPY 1
#else
#define KVTOLL_BULK_COPY 0
#endif

#if KVTOLL_BULK_COPY
__device__ __forceinline__ void bulk_copy(uint32_t to, const void* from, int bytes,
                                          uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}
#else
__device__ __forceinline__ void lanes_copy(uint32_t to, const void* from, int bytes, int lane) {
  for (int i = lane * 16; i < bytes; i += 512)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + i),
                 "l"(static_cast<const char*>(from) + i)
                 : "memory");
}
#endif

// This thread's stores to shared memory come before what copies bring there that are asked for
// after the next barrier.
__device__ __forceinline__ void order_stores_before_copies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

}  // namespace kvtoll::cuda
