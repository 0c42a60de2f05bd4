// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A warp's private ring of stages in shared memory, filled from global memory ahead of use. On
// sm_90 one lane asks the bulk copy engine and an mbarrier tells when the bytes are there; on sm_80
// the lanes copy 16 bytes each (cp.async). Warps never wait for each other here. Example:
// attention_decode.cuh.
#pragma once

#include "kvtoll/backends/cuda/bulk_copy.cuh"

namespace kvtoll::cuda {

template <int kDepth, int kStageBytes>
class CopyRing {
 public:
  static constexpr int kBytes = kDepth * kStageBytes;  // of shared memory, per warp

  // data: kBytes, 16-byte aligned; barriers: kDepth of 8 bytes. All lanes call.
  __device__ CopyRing(unsigned char* data, uint64_t* barriers, int lane)
      : data_(data),
        address_(shared_address(data)),
        barrier_(shared_address(barriers)),
        lane_(lane) {
#if KVTOLL_BULK_COPY
    if (lane == 0) {
      for (int i = 0; i < kDepth; ++i) barrier_init(barrier_ + 8 * i, 1);
      barrier_publish();
    }
    __syncwarp();
#endif
  }

  // A request: expect(all bytes), copy() of each piece (16-byte aligned, a multiple of 16 bytes),
  // submit().
  __device__ __forceinline__ void expect(int bytes) {
#if KVTOLL_BULK_COPY
    if (lane_ == 0) barrier_expect(barrier_ + 8 * put_, bytes);
#endif
  }
  __device__ __forceinline__ void copy(int offset, const void* from, int bytes) {
    const uint32_t to = address_ + static_cast<uint32_t>(put_ * kStageBytes + offset);
#if KVTOLL_BULK_COPY
    if (lane_ == 0) bulk_copy(to, from, bytes, barrier_ + 8 * put_);
#else
    lanes_copy(to, from, bytes, lane_);
#endif
  }
  __device__ __forceinline__ void submit() {
#if !KVTOLL_BULK_COPY
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
    put_ = put_ + 1 == kDepth ? 0 : put_ + 1;
  }
  // sm_80: keeps the count of groups right when there is nothing left to ask for.
  __device__ __forceinline__ void skip() {
#if !KVTOLL_BULK_COPY
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
  }

  // Waits for the oldest stage and returns it.
  __device__ __forceinline__ unsigned char* wait() {
#if KVTOLL_BULK_COPY
    barrier_wait(barrier_ + 8 * get_, phase_);
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
  unsigned char* data_;
  uint32_t address_, barrier_;
  int lane_;
  int put_ = 0, get_ = 0;
  uint32_t phase_ = 0;
};

}  // namespace kvtoll::cuda
