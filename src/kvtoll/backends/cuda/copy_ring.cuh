// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A warp's private ring of stages in shared memory, filled from global memory ahead of use. On
// sm_90 one lane asks the bulk copy engine and an mbarrier tells when the bytes are there; on sm_80
// the lanes copy 16 bytes each (cp.async). Warps never wait for each other here. Example: gemv.cuh.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace kvtoll::cuda {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define KVTOLL_BULK_COPY 1
#else
#define KVTOLL_BULK_COPY 0
#endif

template <int kDepth, int kStageBytes>
class CopyRing {
 public:
  static constexpr int kBytes = kDepth * kStageBytes;  // of shared memory, per warp

  // data: kBytes, 16-byte aligned; barriers: kDepth of 8 bytes. All lanes call.
  __device__ CopyRing(unsigned char* data, uint64_t* barriers, int lane)
      : data_(data),
        address_(static_cast<uint32_t>(__cvta_generic_to_shared(data))),
        barrier_(static_cast<uint32_t>(__cvta_generic_to_shared(barriers))),
        lane_(lane) {
#if KVTOLL_BULK_COPY
    if (lane == 0) {
      for (int i = 0; i < kDepth; ++i)
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier_ + 8 * i));
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
      asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    __syncwarp();
#endif
  }

  // A request: expect(all bytes), copy() of each piece (16-byte aligned, a multiple of 16 bytes),
  // submit().
  __device__ __forceinline__ void expect(int bytes) {
#if KVTOLL_BULK_COPY
    if (lane_ == 0)
      asm volatile(
          "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier_ + 8 * put_),
          "r"(bytes)
          : "memory");
#endif
  }
  __device__ __forceinline__ void copy(int offset, const void* from, int bytes) {
#if KVTOLL_BULK_COPY
    if (lane_ == 0) bulk_copy(offset, from, bytes);
#else
    const uint32_t to = address_ + static_cast<uint32_t>(put_ * kStageBytes + offset);
    for (int i = lane_ * 16; i < bytes; i += 512)
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + i),
                   "l"(static_cast<const char*>(from) + i)
                   : "memory");
#endif
  }
  __device__ __forceinline__ void submit() {
#if !KVTOLL_BULK_COPY
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
    put_ = put_ + 1 == kDepth ? 0 : put_ + 1;
  }
  // One request: `rows` (up to 32) pieces of `bytes`, `stride` bytes from each other in memory and
  // `pitch` in the stage.
  __device__ __forceinline__ void request(int rows, int pitch, const unsigned char* from,
                                          int64_t stride, int bytes) {
    expect(rows * bytes);
#if KVTOLL_BULK_COPY
    __syncwarp();
    if (lane_ < rows) bulk_copy(lane_ * pitch, from + lane_ * stride, bytes);
#else
    for (int r = 0; r < rows; ++r) copy(r * pitch, from + r * stride, bytes);
#endif
    submit();
  }
  // sm_80: keeps the count of groups right when there is nothing left to ask for.
  __device__ __forceinline__ void skip() {
#if !KVTOLL_BULK_COPY
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
  }

  // Stores of this warp into stages come before what later requests write there.
  __device__ __forceinline__ void order_stores() {
#if KVTOLL_BULK_COPY
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
    __syncwarp();
  }

  // Waits for the oldest stage and returns it.
  __device__ __forceinline__ unsigned char* wait() {
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
    asm volatile("cp.async.wait_group %0;" ::"n"(kDepth - 1) : "memory");
    __syncwarp();
#endif
    return data_ + get_ * kStageBytes;
  }

  // The stage has been read by all lanes and may be filled again.
  __device__ __forceinline__ void release() {
    __syncwarp();
    if (++get_ == kDepth) get_ = 0, phase_ ^= 1;
  }

 private:
#if KVTOLL_BULK_COPY
  __device__ __forceinline__ void bulk_copy(int offset, const void* from, int bytes) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
        "[%3];" ::"r"(address_ + static_cast<uint32_t>(put_ * kStageBytes + offset)),
        "l"(from), "r"(bytes), "r"(barrier_ + 8 * put_)
        : "memory");
  }
#endif

  unsigned char* data_;
  uint32_t address_, barrier_;
  int lane_;
  int put_ = 0, get_ = 0;
  uint32_t phase_ = 0;
};

}  // namespace kvtoll::cuda
