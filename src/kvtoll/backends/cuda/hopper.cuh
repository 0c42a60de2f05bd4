// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// What compute capability 9.0 has beyond mma.sync: tensor copies into swizzled shared memory, and
// products of a warpgroup (wgmma). Source: PTX ISA 8.x. Compiled for sm_90a only.
//
// Tiles in shared memory are columns of 64 16-bit values: a row is 128 bytes, eight rows an atom of
// 1,024 bytes in which 16-byte chunk c of row r lies at c ^ (r % 8).
#pragma once

#include <cuda.h>

#include <cstdint>
#include <type_traits>

#include "kvtoll/device/mbarrier.cuh"

namespace kvtoll::cuda::hopper {

// One box of a three-dimensional tensor, its first element at (x, y, z); completes on `barrier`.
__device__ __forceinline__ void copy_box(uint32_t to, const CUtensorMap* map, int x, int y, int z,
                                         uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, "
      "%3, %4}], [%5];" ::"r"(to),
      "l"(map), "r"(x), "r"(y), "r"(z), "r"(barrier)
      : "memory");
}

template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// A matrix in shared memory for wgmma, 128-byte swizzle. leading: bytes between columns of 64
// (matrices whose rows are what is summed over); rows are 1,024 bytes an atom of eight.
__device__ __forceinline__ uint64_t matrix(uint32_t address, uint32_t leading) {
  return (uint64_t{1} << 62) | (uint64_t{1024 >> 4} << 32) | (uint64_t{leading >> 4} << 16) |
         ((address & 0x3ffff) >> 4);
}

__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int kLeft>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kLeft) : "memory");
}
// Keeps the compiler from moving uses of registers that a product still writes.
template <class T, int kCount>
__device__ __forceinline__ void pin(T (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if constexpr (std::is_same_v<T, float>)
      asm volatile("" : "+f"(registers[i])::"memory");
    else
      asm volatile("" : "+r"(registers[i])::"memory");
  }
}

#define KVTOLL_F8(d, i)                                                                       \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define KVTOLL_F32(d, i) \
  KVTOLL_F8(d, i), KVTOLL_F8(d, i + 8), KVTOLL_F8(d, i + 16), KVTOLL_F8(d, i + 24)
#define KVTOLL_R32                                                                                 \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25," \
  "%26,%27,%28,%29,%30,%31"
#define KVTOLL_R64                                                                                \
  KVTOLL_R32                                                                                      \
  ",%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54," \
  "%55,%56,%57,%58,%59,%60,%61,%62,%63"

// d [64, 128] (+)= a [64, 16] b [128, 16]^T, both in shared memory with the 16 contiguous.
#define KVTOLL_PRODUCT_SHARED(type)                                                    \
  asm volatile(                                                                        \
      "{ .reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k16" \
      ".f32." type "." type " {" KVTOLL_R64 "}, %64, %65, p, 1, 1, 0, 0; }"            \
      : KVTOLL_F32(d, 0), KVTOLL_F32(d, 32)                                            \
      : "l"(a), "l"(b), "r"(add))
template <bool kHalf>
__device__ __forceinline__ void product(float (&d)[64], uint64_t a, uint64_t b, int add) {
  if constexpr (kHalf)
    KVTOLL_PRODUCT_SHARED("f16");
  else
    KVTOLL_PRODUCT_SHARED("bf16");
}

// d [64, 128 or 64] += a [64, 16] b [16, same], a in registers, b in shared memory with its rows
// (what is summed over) 128 bytes apart.
#define KVTOLL_PRODUCT_REGISTERS(n, type, registers, a0, a1, a2, a3, desc, ...)                  \
  asm volatile("{ .reg .pred p; setp.ne.b32 p, 1, 0; wgmma.mma_async.sync.aligned.m64n" n        \
               "k16.f32." type "." type " {" registers "}, {" a0 "," a1 "," a2 "," a3 "}, " desc \
               ", p, 1, 1, 1; }"                                                                 \
               : __VA_ARGS__                                                                     \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))
template <bool kHalf>
__device__ __forceinline__ void product(float (&d)[64], const uint32_t* a, uint64_t b) {
  if constexpr (kHalf)
    KVTOLL_PRODUCT_REGISTERS("128", "f16", KVTOLL_R64, "%64", "%65", "%66", "%67", "%68",
                             KVTOLL_F32(d, 0), KVTOLL_F32(d, 32));
  else
    KVTOLL_PRODUCT_REGISTERS("128", "bf16", KVTOLL_R64, "%64", "%65", "%66", "%67", "%68",
                             KVTOLL_F32(d, 0), KVTOLL_F32(d, 32));
}
template <bool kHalf>
__device__ __forceinline__ void product(float (&d)[32], const uint32_t* a, uint64_t b) {
  if constexpr (kHalf)
    KVTOLL_PRODUCT_REGISTERS("64", "f16", KVTOLL_R32, "%32", "%33", "%34", "%35", "%36",
                             KVTOLL_F32(d, 0));
  else
    KVTOLL_PRODUCT_REGISTERS("64", "bf16", KVTOLL_R32, "%32", "%33", "%34", "%35", "%36",
                             KVTOLL_F32(d, 0));
}

#undef KVTOLL_F8
#undef KVTOLL_F32
#undef KVTOLL_R32
#undef KVTOLL_R64
#undef KVTOLL_PRODUCT_SHARED
#undef KVTOLL_PRODUCT_REGISTERS

}  // namespace kvtoll::cuda::hopper
