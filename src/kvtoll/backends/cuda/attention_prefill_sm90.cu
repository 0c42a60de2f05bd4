// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// A prompt's attention on compute capability 9.0: one warp asks for tiles of 128 keys and values
// (tensor copies), two warpgroups of 64 queries each multiply them (wgmma). A warpgroup starts the
// scores of the next tile before the output of this one, so that its softmax runs under a product;
// the two warpgroups fill what is left. Source: Shah et al., "FlashAttention-3", 2024.
#include <cuda.h>
#include <dlfcn.h>

#include "kvtoll/backends/cuda/attention_prefill.h"
#include "kvtoll/backends/cuda/hopper.cuh"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {
namespace {

using namespace hopper;

constexpr int kGroups = 2;  // warpgroups that compute; one more copies
constexpr int kThreads = 128 * (kGroups + 1);
constexpr int kQueries = 64 * kGroups, kTokens = 128, kStages = 2;
constexpr int kAtom = 1024;

struct TensorMaps {
  CUtensorMap q, k, v;
};

template <int kDim>
struct Tiles {
  static constexpr int kColumns = kDim / 64;           // of 64 values
  static constexpr int kQueryColumn = kQueries * 128;  // bytes
  static constexpr int kTokenColumn = kTokens * 128;   // bytes
  static constexpr int kQueryBytes = kColumns * kQueryColumn;
  static constexpr int kTokenBytes = kColumns * kTokenColumn;
  static constexpr int kBytes = kAtom + kQueryBytes + 2 * kStages * kTokenBytes;
};

// Barriers: of the queries; for each stage that keys are there, have been read, and of values.
struct Barriers {
  uint32_t base;
  __device__ uint32_t queries() const { return base; }
  __device__ uint32_t full(int value, int stage) const {
    return base + 8 * (1 + 2 * value + stage);
  }
  __device__ uint32_t empty(int value, int stage) const {
    return base + 8 * (5 + 2 * value + stage);
  }
  static constexpr int kCount = 9;
};

template <int kDim>
__device__ __forceinline__ void copy_tiles(const TensorMaps& maps, const Barriers& barriers,
                                           uint32_t queries, uint32_t tokens, int row0, int head,
                                           int kv_head, int tiles) {
  using S = Tiles<kDim>;
  barrier_expect(barriers.queries(), S::kQueryBytes);
  for (int c = 0; c < S::kColumns; ++c)
    copy_box(queries + c * S::kQueryColumn, &maps.q, 64 * c, head, row0, barriers.queries());
  for (int i = 0; i < tiles; ++i) {
    const int stage = i % kStages;
    for (int value = 0; value < 2; ++value) {
      if (i >= kStages) barrier_wait(barriers.empty(value, stage), (i / kStages - 1) & 1);
      const uint32_t full = barriers.full(value, stage);
      const uint32_t to = tokens + (value * kStages + stage) * S::kTokenBytes;
      barrier_expect(full, S::kTokenBytes);
      for (int c = 0; c < S::kColumns; ++c)
        copy_box(to + c * S::kTokenColumn, value ? &maps.v : &maps.k, 64 * c, i * kTokens, kv_head,
                 full);
    }
  }
}

// Rows g and g + 8 of each warp's sixteen: running maximum and sum.
struct RunningSoftmax {
  float maximum[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
};

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Scores to probabilities in place; fade: what earlier sums and outputs must be multiplied by.
// seen: keys row g sees, less one, counted from the tile's first; row g + 8 sees 8 more.
__device__ __forceinline__ void softmax_tile(float (&s)[64], RunningSoftmax& state, float scale,
                                             int seen, int c, float (&fade)[2]) {
  if (seen < kTokens - 1) {
#pragma unroll
    for (int i = 0; i < 64; ++i)
      if (8 * (i / 4) + 2 * c + (i & 1) > seen + 8 * (i / 2 % 2)) s[i] = -INFINITY;
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float top = state.maximum[r];
#pragma unroll
    for (int n = 0; n < 16; ++n) top = fmaxf(top, fmaxf(s[4 * n + 2 * r], s[4 * n + 2 * r + 1]));
    top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
    top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
    const float base = top * scale;
    fade[r] = exp2_fast(fmaf(state.maximum[r], scale, -base));
    state.maximum[r] = top;
    float sum = 0.0f;
#pragma unroll
    for (int n = 0; n < 16; ++n)
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        float& p = s[4 * n + 2 * r + k];
        p = exp2_fast(fmaf(p, scale, -base));
        sum += p;
      }
    state.sum[r] = state.sum[r] * fade[r] + sum;
  }
}

template <class T>
__device__ __forceinline__ void pack_tile(const float (&s)[64], uint32_t (&p)[32]) {
#pragma unroll
  for (int i = 0; i < 32; ++i) p[i] = pack2<T>(s[2 * i], s[2 * i + 1]);
}

template <class T, int kDim>
__device__ __forceinline__ void start_scores(float (&s)[64], uint32_t queries, uint32_t keys) {
  using S = Tiles<kDim>;
#pragma unroll
  for (int k = 0; k < kDim / 16; ++k)
    product<std::is_same_v<T, __half>>(s, matrix(queries + k / 4 * S::kQueryColumn + k % 4 * 32, 0),
                                       matrix(keys + k / 4 * S::kTokenColumn + k % 4 * 32, 0),
                                       k > 0);
}

template <class T, int kDim>
__device__ __forceinline__ void start_output(float (&o)[kDim / 2], const uint32_t (&p)[32],
                                             uint32_t values) {
  using S = Tiles<kDim>;
#pragma unroll
  for (int t = 0; t < kTokens / 16; ++t)
    product<std::is_same_v<T, __half>>(o, p + 4 * t,
                                       matrix(values + t * 2 * kAtom, S::kTokenColumn));
}

template <class Out, int kDim>
__device__ __forceinline__ void write_rows(const PrefillParams& p, const RunningSoftmax& state,
                                           const float (&o)[kDim / 2], int row, int head, int c) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float sum = state.sum[r];
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    if (row + 8 * r >= p.rows) continue;
    const float inverse = 1.0f / sum;
    Out* out = static_cast<Out*>(p.out) + (int64_t(row + 8 * r) * p.heads + head) * kDim + 2 * c;
#pragma unroll
    for (int n = 0; n < kDim / 8; ++n)
      *reinterpret_cast<uint32_t*>(out + 8 * n) =
          pack2<Out>(o[4 * n + 2 * r] * inverse, o[4 * n + 2 * r + 1] * inverse);
  }
}

template <class T, int kDim>
__device__ __forceinline__ void compute_rows(const PrefillParams& p, const Barriers& barriers,
                                             uint32_t queries, uint32_t tokens, int row0, int head,
                                             int tiles) {
  using S = Tiles<kDim>;
  const int group = threadIdx.x / 128 - 1, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  const int row = row0 + 64 * group + threadIdx.x % 128 / 32 * 16 + g;
  const float scale = 1.4426950408889634f * rsqrtf(static_cast<float>(kDim));
  const uint32_t mine = queries + group * 64 * 128;
  float s[64], o[kDim / 2] = {}, fade[2];
  uint32_t probabilities[32];
  RunningSoftmax state;
  const auto start = [&](int i) {  // scores of tile i
    barrier_wait(barriers.full(0, i % kStages), i / kStages & 1);
    wgmma_fence();
    start_scores<T, kDim>(s, mine, tokens + i % kStages * S::kTokenBytes);
    wgmma_commit();
  };
  const auto add = [&](int i) {  // output of tile i
    barrier_wait(barriers.full(1, i % kStages), i / kStages & 1);
    wgmma_fence();
    start_output<T, kDim>(o, probabilities, tokens + (kStages + i % kStages) * S::kTokenBytes);
    wgmma_commit();
  };
  const auto read = [&](int value, int i) {
    if (lane == 0) barrier_arrive(barriers.empty(value, i % kStages));
  };

  barrier_wait(barriers.queries(), 0);
  start(0);
  wgmma_wait<0>();
  pin(s);
  read(0, 0);
  softmax_tile(s, state, scale, p.first + row, c, fade);
  pack_tile<T>(s, probabilities);
  for (int i = 1; i < tiles; ++i) {
    start(i);
    add(i - 1);
    wgmma_wait<1>();
    pin(s);
    read(0, i);
    softmax_tile(s, state, scale, p.first + row - i * kTokens, c, fade);
    wgmma_wait<0>();
    pin(o);
    pin(probabilities);
    read(1, i - 1);
    pack_tile<T>(s, probabilities);
#pragma unroll
    for (int n = 0; n < kDim / 2; ++n) o[n] *= fade[n / 2 % 2];
  }
  add(tiles - 1);
  wgmma_wait<0>();
  pin(o);
  if (p.out_dtype == DType::kF16)
    write_rows<__half, kDim>(p, state, o, row, head, c);
  else
    write_rows<__nv_bfloat16, kDim>(p, state, o, row, head, c);
}

}  // namespace

// Grid: heads x blocks of queries, the longest first.
template <class T, int kDim>
__global__ void __launch_bounds__(kThreads, 1)
    attention_prefill_sm90_kernel(const __grid_constant__ PrefillParams p,
                                  const __grid_constant__ TensorMaps maps) {
  extern __shared__ unsigned char prefill_shared[];
  __shared__ uint64_t barrier_memory[Barriers::kCount];
  using S = Tiles<kDim>;
  const uint32_t queries = (shared_address(prefill_shared) + kAtom - 1) / kAtom * kAtom;
  const uint32_t tokens = queries + S::kQueryBytes;
  const Barriers barriers{shared_address(barrier_memory)};
  const int head = blockIdx.x, row0 = (gridDim.y - 1 - blockIdx.y) * kQueries;
  const int tiles = (p.first + min(p.rows, row0 + kQueries) + kTokens - 1) / kTokens;
  if (threadIdx.x == 0) {
    barrier_init(barriers.queries(), 1);
    for (int value = 0; value < 2; ++value)
      for (int stage = 0; stage < kStages; ++stage) {
        barrier_init(barriers.full(value, stage), 1);
        barrier_init(barriers.empty(value, stage), 4 * kGroups);
      }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  __syncthreads();
  pdl_trigger();
  pdl_wait();
  if (threadIdx.x < 128) {
    give_registers<24>();
    if (threadIdx.x == 0)
      copy_tiles<kDim>(maps, barriers, queries, tokens, row0, head, head / (p.heads / p.kv_heads),
                       tiles);
  } else {
    take_registers<240>();
    compute_rows<T, kDim>(p, barriers, queries, tokens, row0, head, tiles);
  }
}

namespace {

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

// Opened at run time, so that the program starts without a driver.
EncodeTiled encode_tiled() {
  static const EncodeTiled function = [] {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return library ? reinterpret_cast<EncodeTiled>(dlsym(library, "cuTensorMapEncodeTiled"))
                   : nullptr;
  }();
  return function;
}

// [size2][size1][dim] of 16-bit values, strides in elements; boxes of 64 x box1 x box2.
CUtensorMap tensor_map(const void* data, DType dtype, int dim, int64_t size1, int64_t stride1,
                       int64_t size2, int64_t stride2, int box1, int box2) {
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(dim), static_cast<cuuint64_t>(size1),
                              static_cast<cuuint64_t>(size2)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(stride1) * 2,
                                static_cast<cuuint64_t>(stride2) * 2};
  const cuuint32_t box[] = {64, static_cast<cuuint32_t>(box1), static_cast<cuuint32_t>(box2)};
  const cuuint32_t steps[] = {1, 1, 1};
  CUtensorMap map{};
  const CUresult code = encode_tiled()(
      &map,
      dtype == DType::kF16 ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3,
      const_cast<void*>(data), sizes, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
      CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (code != CUDA_SUCCESS)
    throw CudaError("cuda", "cuTensorMapEncodeTiled", static_cast<int>(code), "CUresult",
                    "a tensor map was refused", __FILE__, __LINE__);
  return map;
}

template <class T, int kDim>
void launch_dim(const PrefillParams& p, DType dtype, const LaunchContext& launch) {
  TensorMaps maps;
  maps.q =
      tensor_map(p.q, dtype, kDim, p.heads, kDim, p.rows, int64_t(p.heads) * kDim, 1, kQueries);
  const auto cached = [&](const void* x) {
    return tensor_map(x, dtype, kDim, p.first + p.rows, kDim, p.kv_heads, p.capacity * kDim,
                      kTokens, 1);
  };
  maps.k = cached(p.k);
  maps.v = cached(p.v);
  LaunchShape shape;
  shape.grid = dim3(p.heads, (p.rows + kQueries - 1) / kQueries);
  shape.block = dim3(kThreads);
  shape.shared = Tiles<kDim>::kBytes;
  shape.overlap = launch.overlap;
  launch_kernel(attention_prefill_sm90_kernel<T, kDim>, shape, launch.stream, p, maps);
}

template <int kDim>
void launch_type(const PrefillParams& p, DType dtype, const LaunchContext& launch) {
  if (dtype == DType::kF16)
    launch_dim<__half, kDim>(p, dtype, launch);
  else
    launch_dim<__nv_bfloat16, kDim>(p, dtype, launch);
}

template <int kDim>
void allow() {
  allow_shared(attention_prefill_sm90_kernel<__half, kDim>, Tiles<kDim>::kBytes);
  allow_shared(attention_prefill_sm90_kernel<__nv_bfloat16, kDim>, Tiles<kDim>::kBytes);
}

void launch_prefill(const PrefillParams& p, DType dtype, const LaunchContext& launch) {
  if (p.dim == 64)
    launch_type<64>(p, dtype, launch);
  else
    launch_type<128>(p, dtype, launch);
}

}  // namespace

std::optional<PrefillKernel> prefill_sm90_kernel(int dim) {
  if ((dim != 64 && dim != 128) || !encode_tiled()) return std::nullopt;
  dim == 64 ? allow<64>() : allow<128>();
  return PrefillKernel{"attention_prefill_sm90_kernel", kQueries, launch_prefill};
}

}  // namespace kvtoll::cuda
