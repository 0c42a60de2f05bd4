// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Loads of fp16, bf16 and fp32 as fp32 vectors, shared by the kernels; included once per SIMD
// target by Highway's foreach_target (hence no #pragma once). Not a header for anyone else.
#include <hwy/highway.h>

#include "kvtoll/core/half.h"

#if defined(KVTOLL_BACKENDS_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KVTOLL_BACKENDS_CPU_SIMD_INL_H_
#undef KVTOLL_BACKENDS_CPU_SIMD_INL_H_
#else
#define KVTOLL_BACKENDS_CPU_SIMD_INL_H_
#endif

HWY_BEFORE_NAMESPACE();
namespace kvtoll::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using F32 = hn::ScalableTag<float>;
using V = hn::Vec<F32>;

struct Half {
  uint16_t bits;
};
struct Brain {
  uint16_t bits;
};

HWY_INLINE V load(const float* p) { return hn::LoadU(F32(), p); }
HWY_INLINE V load(const Half* p) {
#if HWY_TARGET <= HWY_AVX2  // F16C
  const hn::Rebind<hwy::float16_t, F32> d16;
  return hn::PromoteTo(F32(), hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(p)));
#else  // Highway's own emulation makes 65536 of infinity
  const hn::Rebind<uint32_t, F32> d32;
  const hn::Rebind<uint16_t, F32> d16;
  const auto bits = hn::PromoteTo(d32, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p)));
  const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(d32, 0x8000u)));
  const auto moved = hn::ShiftLeft<13>(hn::And(bits, hn::Set(d32, 0x7fffu)));
  const V scaled = hn::Mul(hn::BitCast(F32(), moved), hn::Set(F32(), 0x1.0p112f));  // exponent bias
  const auto special = hn::VecFromMask(d32, hn::Gt(moved, hn::Set(d32, (31u << 23) - 1)));
  const auto infinite = hn::And(special, hn::Set(d32, 0x7f800000u));
  return hn::BitCast(F32(), hn::Or(hn::Or(hn::BitCast(d32, scaled), infinite), sign));
#endif
}
HWY_INLINE V load(const Brain* p) {
  const hn::Rebind<uint32_t, F32> d32;
  const hn::Rebind<uint16_t, F32> d16;
  const auto wide = hn::PromoteTo(d32, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(p)));
  return hn::BitCast(F32(), hn::ShiftLeft<16>(wide));
}
HWY_INLINE float load_one(const float* p) { return *p; }
HWY_INLINE float load_one(const Half* p) { return half_bits_to_float(p->bits); }
HWY_INLINE float load_one(const Brain* p) { return bfloat16_bits_to_float(p->bits); }

HWY_INLINE float sum_lanes(V v) { return hn::GetLane(hn::SumOfLanes(F32(), v)); }

}  // namespace HWY_NAMESPACE
}  // namespace kvtoll::cpu
HWY_AFTER_NAMESPACE();

#endif
