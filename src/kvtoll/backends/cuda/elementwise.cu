// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kvtoll/backends/cuda/elementwise.h"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {
namespace {

constexpr int kThreads = 256;

LaunchShape shape_of(dim3 grid, int threads, const LaunchContext& launch) {
  LaunchShape shape;
  shape.grid = grid;
  shape.block = dim3(static_cast<unsigned>(threads));
  shape.overlap = launch.overlap;
  return shape;
}

unsigned blocks_for(int64_t items, const LaunchContext& launch) {
  const int64_t wanted = (items + kThreads - 1) / kThreads;
  return static_cast<unsigned>(
      std::clamp<int64_t>(wanted, 1, int64_t{16} * launch.multiprocessors));
}

}  // namespace

template <class T>
__global__ void embed_kernel(EmbedParams p) {
  pdl_trigger();
  pdl_wait();
  for (int row = blockIdx.x; row < p.row_count; row += gridDim.x) {
    const int64_t token = p.tokens[p.rows.prefill ? row : row_slot(p.rows, row)];
    const T* from = static_cast<const T*>(p.table) + token * p.hidden;
    for (int i = threadIdx.x; i < p.hidden; i += kThreads)
      p.x[int64_t(row) * p.hidden + i] = to_float(from[i]);
    if (!p.turns) continue;
    const float position = static_cast<float>(row_position(p.rows, row));
    for (int i = threadIdx.x; i < p.half; i += kThreads) {
      float sine, cosine;
      sincosf(p.inv_freq[i] * position, &sine, &cosine);
      p.turns[int64_t(row) * p.half + i] =
          make_float2(cosine * p.attention_factor, sine * p.attention_factor);
    }
  }
}

void launch_embed(const EmbedParams& p, DType dtype, const LaunchContext& launch) {
  const auto shape = shape_of(dim3(std::min(p.row_count, 4096)), kThreads, launch);
  launch_kernel(dtype == DType::kF16 ? embed_kernel<__half> : embed_kernel<__nv_bfloat16>, shape,
                launch.stream, p);
}

Bytes embed_bytes(int64_t rows, int64_t hidden) { return Bytes(rows * hidden * (2 + 4)); }

constexpr int kNormThreads = 512;

// One block a row, which threads hold, eight values each; what is longer is read twice.
template <class T>
__global__ void __launch_bounds__(kNormThreads)
    rmsnorm_kernel(const float* x, const float* weight, float eps, int k, T* y) {
  constexpr int kHeld = 2;
  __shared__ float sums[kNormThreads / 32];
  pdl_trigger();
  const int quads = k / 4, tid = threadIdx.x;
  const float4* from = reinterpret_cast<const float4*>(x + int64_t(blockIdx.x) * k);
  const float4* scale = reinterpret_cast<const float4*>(weight);
  uint2* to = reinterpret_cast<uint2*>(y + int64_t(blockIdx.x) * k);
  float4 v[kHeld], w[kHeld];
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = tid + j * kNormThreads; i < quads) w[j] = __ldg(scale + i);
  pdl_wait();
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = tid + j * kNormThreads; i < quads) v[j] = __ldcg(from + i);
  float sum = 0.0f;
  const auto square = [&](float4 a) { sum += a.x * a.x + a.y * a.y + a.z * a.z + a.w * a.w; };
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (tid + j * kNormThreads < quads) square(v[j]);
  for (int i = tid + kHeld * kNormThreads; i < quads; i += kNormThreads) square(__ldcg(from + i));
  sum = warp_sum(sum);
  if (tid % 32 == 0) sums[tid / 32] = sum;
  __syncthreads();
  sum = 0.0f;
#pragma unroll
  for (float s : sums) sum += s;
  const float rms = rsqrtf(sum / static_cast<float>(k) + eps);
  const auto store = [&](int i, float4 a, float4 b) {
    to[i] = make_uint2(pack2<T>(a.x * rms * b.x, a.y * rms * b.y),
                       pack2<T>(a.z * rms * b.z, a.w * rms * b.w));
  };
#pragma unroll
  for (int j = 0; j < kHeld; ++j)
    if (const int i = tid + j * kNormThreads; i < quads) store(i, v[j], w[j]);
  for (int i = tid + kHeld * kNormThreads; i < quads; i += kNormThreads)
    store(i, __ldcg(from + i), __ldg(scale + i));
}

void launch_rmsnorm(const float* x, const float* weight, float eps, int rows, int k, void* y,
                    DType dtype, const LaunchContext& launch) {
  const auto shape = shape_of(dim3(static_cast<unsigned>(rows)), kNormThreads, launch);
  if (dtype == DType::kF16)
    launch_kernel(rmsnorm_kernel<__half>, shape, launch.stream, x, weight, eps, k,
                  static_cast<__half*>(y));
  else
    launch_kernel(rmsnorm_kernel<__nv_bfloat16>, shape, launch.stream, x, weight, eps, k,
                  static_cast<__nv_bfloat16*>(y));
}

Bytes rmsnorm_bytes(int64_t rows, int64_t k) { return Bytes(rows * k * (4 + 2) + k * 4); }

// A thread four outputs, of eight gates and ups side by side.
template <class T>
__global__ void __launch_bounds__(kThreads)
    silu_mul_kernel(const float* gate_up, const float* bias, int64_t rows, int ffn, T* h) {
  pdl_trigger();
  pdl_wait();
  const int64_t count = rows * ffn / 4, stride = int64_t(gridDim.x) * kThreads;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride) {
    const float4* from = reinterpret_cast<const float4*>(gate_up) + 2 * i;
    float4 a = __ldcg(from), b = __ldcg(from + 1);
    if (bias) {
      const float4* add = reinterpret_cast<const float4*>(bias) + 2 * (i % (ffn / 4));
      const float4 c = __ldg(add), d = __ldg(add + 1);
      a.x += c.x, a.y += c.y, a.z += c.z, a.w += c.w;
      b.x += d.x, b.y += d.y, b.z += d.z, b.w += d.w;
    }
    reinterpret_cast<uint2*>(h)[i] = make_uint2(pack2<T>(silu(a.x) * a.y, silu(a.z) * a.w),
                                                pack2<T>(silu(b.x) * b.y, silu(b.z) * b.w));
  }
}

void launch_silu_mul(const float* gate_up, const float* bias, int64_t rows, int ffn, void* h,
                     DType dtype, const LaunchContext& launch) {
  const auto shape = shape_of(dim3(blocks_for(rows * ffn / 4, launch)), kThreads, launch);
  if (dtype == DType::kF16)
    launch_kernel(silu_mul_kernel<__half>, shape, launch.stream, gate_up, bias, rows, ffn,
                  static_cast<__half*>(h));
  else
    launch_kernel(silu_mul_kernel<__nv_bfloat16>, shape, launch.stream, gate_up, bias, rows, ffn,
                  static_cast<__nv_bfloat16*>(h));
}

Bytes silu_mul_bytes(int64_t rows, int64_t ffn) { return Bytes(rows * ffn * (8 + 2)); }

__global__ void __launch_bounds__(kThreads)
    bias_add_kernel(float* x, const float* bias, int64_t count, int k) {
  pdl_trigger();
  pdl_wait();
  const int64_t stride = int64_t(gridDim.x) * kThreads;
  for (int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride)
    __stcg(x + i, __ldcg(x + i) + bias[i % k]);
}

void launch_bias_add(float* x, const float* bias, int64_t rows, int k,
                     const LaunchContext& launch) {
  launch_kernel(bias_add_kernel, shape_of(dim3(blocks_for(rows * k, launch)), kThreads, launch),
                launch.stream, x, bias, rows * k, k);
}

Bytes bias_add_bytes(int64_t rows, int64_t k) { return Bytes(rows * k * 8 + k * 4); }

// Orders like the float, then prefers the lower index; never 0 for a real logit. NaN loses.
__device__ __forceinline__ unsigned long long ranked(float v, unsigned index) {
  const unsigned bits = __float_as_uint(v);
  const unsigned order = isnan(v) ? 0u : (bits & 0x80000000u) ? ~bits : bits | 0x80000000u;
  return (static_cast<unsigned long long>(order) << 32) | (0xffffffffu - index);
}

// Grid: kArgmaxBlocks x rows; the last block of a row to finish publishes the result.
__global__ void __launch_bounds__(kThreads) argmax_kernel(ArgmaxParams p) {
  pdl_trigger();
  pdl_wait();
  const int row = blockIdx.y;
  const float* logits = p.logits + int64_t(row) * p.vocab;
  unsigned long long best = 0;
  for (int i = blockIdx.x * kThreads + threadIdx.x; i < p.vocab; i += gridDim.x * kThreads)
    best = max(best, ranked(__ldcg(logits + i), static_cast<unsigned>(i)));
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1)
    best = max(best, __shfl_xor_sync(0xffffffffu, best, offset));
  __shared__ unsigned long long bests[kThreads / 32];
  if (threadIdx.x % 32 == 0) bests[threadIdx.x / 32] = best;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (unsigned long long b : bests) best = max(best, b);
  atomicMax(p.best + row, best);
  __threadfence();
  if (atomicAdd(p.done + row, 1u) + 1 != gridDim.x) return;
  const int slot = p.slot[row];
  const unsigned long long winner = atomicExch(p.best + row, 0ull);
  p.done[row] = 0;
  const int token = static_cast<int>(0xffffffffu - static_cast<unsigned>(winner));
  p.slot_token[slot] = token;
  const int length = p.length[slot] + p.advance;
  p.length[slot] = length;
  p.next[(length & 1) * p.slots + row] = token;
  __threadfence_system();
}

void launch_argmax(const ArgmaxParams& p, const LaunchContext& launch) {
  const int blocks = std::clamp(p.vocab / (4 * kThreads), 1, 64);
  launch_kernel(argmax_kernel, shape_of(dim3(blocks, p.row_count), kThreads, launch), launch.stream,
                p);
}

Bytes argmax_bytes(int64_t rows, int64_t vocab) { return Bytes(rows * vocab * 4); }

}  // namespace kvtoll::cuda
