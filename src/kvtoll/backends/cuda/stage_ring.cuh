// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A block's ring of stages in shared memory: one warp fills them from global memory ahead of use,
// others wait for the oldest, read it and release it. So copies can be long: one of 7 KiB takes
// less time and energy than eight of 900 bytes (docs/lab.md). Every lane arrives at the barriers
// for itself: it costs nothing over one for its warp, and is what racecheck follows. Example:
// gemv.cuh.
#pragma once

#include "kvtoll/backends/cuda/bulk_copy.cuh"

namespace kvtoll::cuda {

template <int kDepth, int kStageBytes>
class StageRing {
 public:
  static constexpr int kBytes = kDepth * kStageBytes;
  static constexpr int kBarrierBytes = 2 * kDepth * 8;

  // data: kBytes, 16-byte aligned; barriers: kBarrierBytes, 8-byte aligned.
  __device__ StageRing(unsigned char* data, unsigned char* barriers)
      : data_(data), full_(shared_address(barriers)), empty_(full_ + 8 * kDepth) {}

  // One thread of the filling warp; the reading warps use the ring after a barrier.
  __device__ __forceinline__ void init(int warps) {
    for (int i = 0; i < kDepth; ++i) {
      barrier_init(full_ + 8 * i, 32);
      barrier_init(empty_ + 8 * i, warps * 32);
    }
    barrier_publish();
  }

  // The filling warp, all lanes: `rows` (up to 32) pieces of `bytes` (16-byte aligned, a multiple
  // of 16), `stride` bytes from each other in memory and `pitch` in the stage, as soon as it is
  // free.
  __device__ __forceinline__ void fill(int rows, int pitch, const unsigned char* from,
                                       int64_t stride, int bytes, int lane) {
    if (laps_ > 0) barrier_wait(empty_ + 8 * stage_, (laps_ - 1) & 1);
    const uint32_t full = full_ + 8 * stage_;
    const uint32_t to = shared_address(data_) + static_cast<uint32_t>(stage_ * kStageBytes);
#if KVTOLL_BULK_COPY
    barrier_expect(full, lane < rows ? bytes : 0);
    if (lane < rows) bulk_copy(to + lane * pitch, from + lane * stride, bytes, full);
#else
    for (int r = 0; r < rows; ++r) lanes_copy(to + r * pitch, from + r * stride, bytes, lane);
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(full) : "memory");
#endif
    advance();
  }

  // A reading warp: waits for the oldest stage.
  __device__ __forceinline__ const unsigned char* wait() const {
    barrier_wait(full_ + 8 * stage_, laps_ & 1);
    return data_ + stage_ * kStageBytes;
  }
  // This lane has read it.
  __device__ __forceinline__ void release() {
    barrier_arrive(empty_ + 8 * stage_);
    advance();
  }

 private:
  __device__ __forceinline__ void advance() {
    if (++stage_ == kDepth) stage_ = 0, ++laps_;
  }

  unsigned char* data_;
  uint32_t full_, empty_;
  int stage_ = 0, laps_ = 0;
};

}  // namespace kvtoll::cuda
