// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// RMSNorm, RoPE, SwiGLU, argmax and the conversions between fp32 and storage dtypes.
#include <cmath>
#include <cstring>

#include "kvtoll/backends/cpu/kernels.h"

// foreach_target.h must come before highway.h.
// clang-format off
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kvtoll/backends/cpu/elementwise.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

#include "kvtoll/backends/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace kvtoll::cpu {
namespace HWY_NAMESPACE {

void RmsNorm(const float* x, const float* weight, float eps, int64_t n, float* y) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  V squares = hn::Zero(F32());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) squares = hn::MulAdd(load(x + i), load(x + i), squares);
  float sum = sum_lanes(squares);
  for (; i < n; ++i) sum += x[i] * x[i];
  const float inverse = 1.0f / std::sqrt(sum / static_cast<float>(n) + eps);
  const V scale = hn::Set(F32(), inverse);
  for (i = 0; i + lanes <= n; i += lanes)
    hn::StoreU(hn::Mul(hn::Mul(load(x + i), scale), load(weight + i)), F32(), y + i);
  for (; i < n; ++i) y[i] = x[i] * inverse * weight[i];
}

void Rope(float* head, const float* cos, const float* sin, int64_t half) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  int64_t i = 0;
  for (; i + lanes <= half; i += lanes) {
    const V a = load(head + i), b = load(head + half + i), c = load(cos + i), s = load(sin + i);
    hn::StoreU(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), F32(), head + i);
    hn::StoreU(hn::Add(hn::Mul(b, c), hn::Mul(a, s)), F32(), head + half + i);
  }
  for (; i < half; ++i) {
    const float a = head[i], b = head[half + i];
    head[i] = a * cos[i] - b * sin[i];
    head[half + i] = b * cos[i] + a * sin[i];
  }
}

void Swiglu(const float* gate, const float* up, int64_t n, float* h) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  const V one = hn::Set(F32(), 1.0f), most = hn::Set(F32(), 88.0f);  // Exp's range
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V g = load(gate + i);
    const V silu = hn::Div(g, hn::Add(one, hn::Exp(F32(), hn::Min(hn::Neg(g), most))));
    hn::StoreU(hn::Mul(silu, load(up + i)), F32(), h + i);
  }
  for (; i < n; ++i) h[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

int32_t Argmax(const float* x, int64_t n) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  V best = hn::Set(F32(), x[0]);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) best = hn::Max(best, load(x + i));
  float top = hn::GetLane(hn::MaxOfLanes(F32(), best));
  for (; i < n; ++i) top = x[i] > top ? x[i] : top;
  for (i = 0; i < n && x[i] != top; ++i) {
  }
  return static_cast<int32_t>(i < n ? i : 0);  // all NaN: 0
}

void NarrowHalf(const float* x, int64_t n, uint16_t* y) {
  int64_t i = 0;
#if HWY_TARGET <= HWY_AVX2  // F16C rounds to nearest even; Highway's emulation does not promise it
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  const hn::Rebind<hwy::float16_t, F32> d16;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(hn::DemoteTo(d16, load(x + i)), d16, reinterpret_cast<hwy::float16_t*>(y + i));
#endif
  for (; i < n; ++i) y[i] = float_to_half_bits(x[i]);
}

template <class T>
void widen_all(const T* x, int64_t n, float* y) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(F32()));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(load(x + i), F32(), y + i);
  for (; i < n; ++i) y[i] = load_one(x + i);
}

void WidenHalf(const void* x, int64_t n, float* y) { widen_all(static_cast<const Half*>(x), n, y); }
void WidenBrain(const void* x, int64_t n, float* y) {
  widen_all(static_cast<const Brain*>(x), n, y);
}

}  // namespace HWY_NAMESPACE
}  // namespace kvtoll::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kvtoll::cpu {

HWY_EXPORT(RmsNorm);
HWY_EXPORT(Rope);
HWY_EXPORT(Swiglu);
HWY_EXPORT(Argmax);
HWY_EXPORT(NarrowHalf);
HWY_EXPORT(WidenHalf);
HWY_EXPORT(WidenBrain);

void rms_norm(const float* x, const float* weight, float eps, int64_t n, float* y) {
  HWY_DYNAMIC_DISPATCH(RmsNorm)(x, weight, eps, n, y);
}
void rope(float* head, const float* cos, const float* sin, int64_t half) {
  HWY_DYNAMIC_DISPATCH(Rope)(head, cos, sin, half);
}
void swiglu(const float* gate, const float* up, int64_t n, float* h) {
  HWY_DYNAMIC_DISPATCH(Swiglu)(gate, up, n, h);
}
int32_t argmax(const float* x, int64_t n) { return HWY_DYNAMIC_DISPATCH(Argmax)(x, n); }

void narrow(const float* x, int64_t n, DType dtype, void* y) {
  auto* bits = static_cast<uint16_t*>(y);
  if (dtype == DType::kF32) {
    std::memmove(y, x, static_cast<size_t>(n) * sizeof(float));
  } else if (dtype == DType::kF16) {
    HWY_DYNAMIC_DISPATCH(NarrowHalf)(x, n, bits);
  } else {
    for (int64_t i = 0; i < n; ++i) bits[i] = float_to_bfloat16_bits(x[i]);
  }
}

void widen(const void* x, DType dtype, int64_t n, float* y) {
  if (dtype == DType::kF32) {
    std::memmove(y, x, static_cast<size_t>(n) * sizeof(float));
  } else if (dtype == DType::kF16) {
    HWY_DYNAMIC_DISPATCH(WidenHalf)(x, n, y);
  } else {
    HWY_DYNAMIC_DISPATCH(WidenBrain)(x, n, y);
  }
}

void round_to(float* x, int64_t n, DType dtype) {
  if (dtype == DType::kF32) return;
  constexpr int64_t kBlock = 256;
  uint16_t bits[kBlock];
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t count = n - i < kBlock ? n - i : kBlock;
    narrow(x + i, count, dtype, bits);
    widen(bits, dtype, count, x + i);
  }
}

const char* simd_name() {
  const int64_t supported = hwy::SupportedTargets() & HWY_TARGETS;
  return hwy::TargetName(supported & -supported);  // the lowest bit is the best target
}

}  // namespace kvtoll::cpu
#endif
