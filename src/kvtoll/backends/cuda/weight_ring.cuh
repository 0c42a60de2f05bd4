// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A warp's private ring of weight tiles in shared memory: kDepth stages, each kRows rows by up to
// kChunks 16-byte chunks. On sm_90 one lane asks the bulk copy engine and an mbarrier tells when
// the bytes are there; on sm_80 each lane copies the chunks it will read itself (cp.async). Warps
// never wait for each other here. Example: see gemv.cuh.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kvtoll/backends/cuda/tuning/gemv_shape.h"

namespace kvtoll::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define KVTOLL_BULK_COPY 1
#else
#define KVTOLL_BULK_COPY 0
#endif

class WeightRing {
 public:
  static constexpr int kStageBytes = kGemvRows * kGemvChunks * 16;
  static constexpr int kBytes = kGemvDepth * kStageBytes;  // per warp

  // data: kBytes, 16-byte aligned; barriers: kGemvDepth of 8 bytes. All lanes call.
  __device__ WeightRing(unsigned char* data, uint64_t* barriers, int lane)
      : data_(data),
        barrier_(static_cast<uint32_t>(__cvta_generic_to_shared(barriers))),
        lane_(lane) {
#if KVTOLL_BULK_COPY
    if (lane == 0) {
      for (int i = 0; i < kGemvDepth; ++i)
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier_ + 8 * i));
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
      asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    __syncwarp();
#endif
  }

  // Asks for `rows` rows of `chunks` chunks; row r starts at source + r * row_bytes.
  __device__ __forceinline__ void request(const unsigned char* source, int64_t row_bytes, int rows,
                                          int chunks) {
    const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(data_)) +
                        static_cast<uint32_t>(put_ * kStageBytes);
#if KVTOLL_BULK_COPY
    if (lane_ == 0) {
      const uint32_t barrier = barrier_ + 8 * put_;
      asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier),
                   "r"(rows * chunks * 16)
                   : "memory");
      for (int r = 0; r < rows; ++r)
        asm volatile(
            "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
            "[%3];" ::"r"(to + r * kGemvChunks * 16),
            "l"(source + r * row_bytes), "r"(chunks * 16), "r"(barrier)
            : "memory");
    }
#else
    for (int r = 0; r < rows; ++r)
      for (int i = lane_; i < chunks; i += 32)
        asm volatile(
            "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + r * kGemvChunks * 16 + i * 16),
            "l"(source + r * row_bytes + i * 16)
            : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
    put_ = put_ + 1 == kGemvDepth ? 0 : put_ + 1;
  }

  // sm_80: keeps the count of groups right when there is nothing left to ask for.
  __device__ __forceinline__ void request_nothing() {
#if !KVTOLL_BULK_COPY
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
  }

  // Waits for the oldest stage and returns it; row r at + r * kGemvChunks chunks.
  __device__ __forceinline__ const uint4* wait() {
#if KVTOLL_BULK_COPY
    const uint32_t barrier = barrier_ + 8 * get_;
    uint32_t done = 0;
    do {
      asm volatile(
          "{ .reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; selp.u32 %0, 1, "
          "0, p; }"
          : "=r"(done)
          : "r"(barrier), "r"(phase_)
          : "memory");
    } while (!done);
#else
    asm volatile("cp.async.wait_group %0;" ::"n"(kGemvDepth - 1) : "memory");
#endif
    return reinterpret_cast<const uint4*>(data_ + get_ * kStageBytes);
  }

  // The stage has been read by all lanes and may be filled again.
  __device__ __forceinline__ void release() {
    __syncwarp();
    if (++get_ == kGemvDepth) get_ = 0, phase_ ^= 1;
  }

 private:
  unsigned char* data_;
  uint32_t barrier_;
  int lane_;
  int put_ = 0, get_ = 0;
  uint32_t phase_ = 0;
};

}  // namespace kvtoll::cuda
