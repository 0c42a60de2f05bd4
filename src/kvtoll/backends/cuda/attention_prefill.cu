// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
#include "kvtoll/backends/cuda/attention_prefill.h"
#include "kvtoll/backends/cuda/numeric.cuh"
#include "kvtoll/core/check.h"
#include "kvtoll/device/launch.cuh"

namespace kvtoll::cuda {
namespace {

constexpr int kQueries = 64;  // a block: four warps of 16
constexpr int kThreads = 128;
constexpr int kStages = 2;

constexpr int keys_per_tile(int padded) { return padded > 128 ? 32 : 64; }

// Rows of a tile in shared memory. Keys are read 16 bytes a lane (four lanes a row), so a row's
// stride is 64 bytes past a multiple of 128; values by ldmatrix, 16 bytes past one.
template <int kPad>
struct TileShape {
  static constexpr int kTokens = keys_per_tile(kPad);
  static constexpr int kKeyStride = kPad + 32, kValueStride = kPad + 8;  // values
  static constexpr int kKeyBytes = kTokens * kKeyStride * 2;
  static constexpr int kStageBytes = kKeyBytes + kTokens * kValueStride * 2;
};

__device__ __forceinline__ void copy16(uint32_t to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kLeft>
__device__ __forceinline__ void wait_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

__device__ __forceinline__ void load_transposed(uint32_t address, uint32_t (&v)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3])
               : "r"(address));
}

// Asks for tokens [t, t + kTokens) of one kv head; what lies past `end` or past dim becomes zero.
template <int kPad>
__device__ __forceinline__ void request_tile(unsigned char* stage, const char* k, const char* v,
                                             int t, int end, int dim) {
  using S = TileShape<kPad>;
  constexpr int kChunks = kPad / 8;
  const uint32_t base = static_cast<uint32_t>(__cvta_generic_to_shared(stage));
  for (int i = threadIdx.x; i < S::kTokens * kChunks; i += kThreads) {
    const int token = i / kChunks, chunk = i % kChunks;
    const bool valid = t + token < end && chunk * 8 < dim;
    const int64_t from = valid ? (int64_t(t + token) * dim + chunk * 8) * 2 : 0;
    copy16(base + (token * S::kKeyStride + chunk * 8) * 2, k + from, valid);
    copy16(base + S::kKeyBytes + (token * S::kValueStride + chunk * 8) * 2, v + from, valid);
  }
}

// Sixteen queries of one warp: fragments in the permuted order of attention_decode.cuh (a lane
// holds dims 32 j + 8 c .. + 7 of rows g and g + 8).
template <int kPad>
struct Queries {
  uint4 chunk[kPad / 32][2];
  __device__ __forceinline__ void load(const char* q, int64_t row_bytes, int row0, int rows,
                                       int dim, int g, int c) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = row0 + g + 8 * r;
#pragma unroll
      for (int j = 0; j < kPad / 32; ++j) {
        const int d = 32 * j + 8 * c;
        chunk[j][r] = row < rows && d < dim
                          ? __ldcg(reinterpret_cast<const uint4*>(q + row * row_bytes + d * 2))
                          : uint4{};
      }
    }
  }
};

// One warp's running softmax over the tiles: rows g and g + 8.
template <int kPad>
struct PrefillState {
  float maximum[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f};
  float out[kPad / 8][4] = {};
};

template <class T, int kPad>
__device__ __forceinline__ void tile_scores(float (&s)[keys_per_tile(kPad) / 8][4],
                                            const Queries<kPad>& q, const unsigned char* stage,
                                            int g, int c) {
  using S = TileShape<kPad>;
#pragma unroll
  for (int n = 0; n < S::kTokens / 8; ++n) {
    const unsigned char* row = stage + (8 * n + g) * S::kKeyStride * 2 + 16 * c;
#pragma unroll
    for (int j = 0; j < kPad / 32; ++j) {
      const uint4 b = *reinterpret_cast<const uint4*>(row + 64 * j);
      const uint4 x = q.chunk[j][0], y = q.chunk[j][1];
      mma16816<T>(s[n], x.x, y.x, x.y, y.y, b.x, b.y);
      mma16816<T>(s[n], x.z, y.z, x.w, y.w, b.z, b.w);
    }
  }
}

// Masks, updates maximum and sum, turns scores into probabilities. visible[r]: keys row r may see,
// counted from the tile's first.
template <int kPad>
__device__ __forceinline__ void softmax_tile(float (&s)[keys_per_tile(kPad) / 8][4],
                                             PrefillState<kPad>& state, float scale,
                                             const int (&visible)[2], int c) {
  constexpr int kN = keys_per_tile(kPad) / 8;
  float top[2] = {state.maximum[0], state.maximum[1]};
#pragma unroll
  for (int n = 0; n < kN; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const bool seen = 8 * n + 2 * c + (i & 1) < visible[i >> 1];
      s[n][i] = seen ? s[n][i] * scale : -INFINITY;
      top[i >> 1] = fmaxf(top[i >> 1], s[n][i]);
    }
  float fade[2], base[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 1));
    top[r] = fmaxf(top[r], __shfl_xor_sync(0xffffffffu, top[r], 2));
    base[r] = top[r] == -INFINITY ? 0.0f : top[r];  // a row past the end sees nothing
    fade[r] = exp2f(state.maximum[r] - base[r]);
    state.maximum[r] = top[r];
    state.sum[r] *= fade[r];
  }
#pragma unroll
  for (auto& o : state.out)
#pragma unroll
    for (int i = 0; i < 4; ++i) o[i] *= fade[i >> 1];
#pragma unroll
  for (int n = 0; n < kN; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      s[n][i] = exp2f(s[n][i] - base[i >> 1]);
      state.sum[i >> 1] += s[n][i];
    }
}

template <class T, int kPad>
__device__ __forceinline__ void tile_output(PrefillState<kPad>& state,
                                            const float (&s)[keys_per_tile(kPad) / 8][4],
                                            const unsigned char* stage, int lane) {
  using S = TileShape<kPad>;
  // Lane l gives the address of row l % 16 (tokens), columns 8 (l / 16) of the 16 x 16 block.
  const uint32_t values = static_cast<uint32_t>(__cvta_generic_to_shared(stage + S::kKeyBytes)) +
                          ((lane % 16) * S::kValueStride + (lane / 16) * 8) * 2;
#pragma unroll
  for (int t = 0; t < S::kTokens / 16; ++t) {
    const uint32_t a0 = pack2<T>(s[2 * t][0], s[2 * t][1]), a1 = pack2<T>(s[2 * t][2], s[2 * t][3]);
    const uint32_t a2 = pack2<T>(s[2 * t + 1][0], s[2 * t + 1][1]),
                   a3 = pack2<T>(s[2 * t + 1][2], s[2 * t + 1][3]);
#pragma unroll
    for (int d = 0; d < kPad / 16; ++d) {
      uint32_t v[4];
      load_transposed(values + (16 * t * S::kValueStride + 16 * d) * 2, v);
      mma16816<T>(state.out[2 * d], a0, a1, a2, a3, v[0], v[1]);
      mma16816<T>(state.out[2 * d + 1], a0, a1, a2, a3, v[2], v[3]);
    }
  }
}

template <class Out, int kPad>
__device__ __forceinline__ void write_rows(const PrefillParams& p, const PrefillState<kPad>& state,
                                           int row0, int head, int g, int c) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float sum = state.sum[r];
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    const int row = row0 + g + 8 * r;
    if (row >= p.rows) continue;
    const float inverse = 1.0f / sum;
    Out* out = static_cast<Out*>(p.out) + (int64_t(row) * p.heads + head) * p.dim;
#pragma unroll
    for (int d = 0; d < kPad / 8; ++d)
      if (8 * d + 2 * c < p.dim)
        *reinterpret_cast<uint32_t*>(out + 8 * d + 2 * c) =
            pack2<Out>(state.out[d][2 * r] * inverse, state.out[d][2 * r + 1] * inverse);
  }
}

}  // namespace

// Grid: heads x ceil(rows / 64), the longest blocks first.
template <class T, int kPad>
__global__ void __launch_bounds__(kThreads) attention_prefill_kernel(PrefillParams p) {
  extern __shared__ __align__(16) unsigned char prefill_shared[];
  using S = TileShape<kPad>;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, c = lane % 4;
  const int head = blockIdx.x, block = gridDim.y - 1 - blockIdx.y;
  const int row0 = block * kQueries + warp * 16;
  const int64_t at = int64_t(head / (p.heads / p.kv_heads)) * p.capacity * p.dim * 2;
  const char *k = static_cast<const char*>(p.k) + at, *v = static_cast<const char*>(p.v) + at;
  const int end = p.first + min(p.rows, (block + 1) * kQueries);  // keys this block sees
  pdl_trigger();
  pdl_wait();
  Queries<kPad> q;
  q.load(static_cast<const char*>(p.q) + int64_t(head) * p.dim * 2, int64_t(p.heads) * p.dim * 2,
         row0, p.rows, p.dim, g, c);
  PrefillState<kPad> state;
  const float scale = 1.4426950408889634f * rsqrtf(static_cast<float>(p.dim));

  // --- two tiles in shared memory: one in use, one on the way
  request_tile<kPad>(prefill_shared, k, v, 0, end, p.dim);
  commit();
  for (int t = 0, i = 0; t < end; t += S::kTokens, ++i) {
    unsigned char* stage = prefill_shared + i % kStages * S::kStageBytes;
    if (t + S::kTokens < end)
      request_tile<kPad>(prefill_shared + (i + 1) % kStages * S::kStageBytes, k, v, t + S::kTokens,
                         end, p.dim);
    commit();
    wait_groups<1>();
    __syncthreads();
    float s[S::kTokens / 8][4] = {};
    tile_scores<T, kPad>(s, q, stage, g, c);
    const int first_row = p.first + row0 + g - t;
    const int visible[2] = {row0 + g < p.rows ? first_row + 1 : 0,
                            row0 + g + 8 < p.rows ? first_row + 9 : 0};
    softmax_tile<kPad>(s, state, scale, visible, c);
    tile_output<T, kPad>(state, s, stage, lane);
    __syncthreads();
  }
  if (p.out_dtype == DType::kF16)
    write_rows<__half, kPad>(p, state, row0, head, g, c);
  else
    write_rows<__nv_bfloat16, kPad>(p, state, row0, head, g, c);
}

namespace {

template <int kPad>
constexpr size_t kPaddedShared = kStages* TileShape<kPad>::kStageBytes;

// Calls f with the head size's padding.
template <class F>
void with_padding(int dim, const F& f) {
  KVTOLL_CHECK(dim <= 256 && dim % 16 == 0, "attention with head size {}", dim);
  if (dim <= 64)
    f.template operator()<64>();
  else if (dim <= 128)
    f.template operator()<128>();
  else
    f.template operator()<256>();
}

void launch_prefill(const PrefillParams& p, DType dtype, const LaunchContext& launch) {
  with_padding(p.dim, [&]<int kPad>() {
    LaunchShape shape;
    shape.grid = dim3(p.heads, (p.rows + kQueries - 1) / kQueries);
    shape.block = dim3(kThreads);
    shape.shared = kPaddedShared<kPad>;
    shape.overlap = launch.overlap;
    launch_kernel(dtype == DType::kF16 ? attention_prefill_kernel<__half, kPad>
                                       : attention_prefill_kernel<__nv_bfloat16, kPad>,
                  shape, launch.stream, p);
  });
}

}  // namespace

PrefillKernel prefill_kernel([[maybe_unused]] int major, int dim) {
#if defined(KVTOLL_HAVE_SM90)
  if (major == 9)
    if (const auto kernel = prefill_sm90_kernel(dim)) return *kernel;
#endif
  with_padding(dim, []<int kPad>() {
    allow_shared(attention_prefill_kernel<__half, kPad>, kPaddedShared<kPad>);
    allow_shared(attention_prefill_kernel<__nv_bfloat16, kPad>, kPaddedShared<kPad>);
  });
  return {"attention_prefill_kernel", kQueries, launch_prefill};
}

Bytes attention_prefill_bytes(const PrefillParams& p, int queries) {
  int64_t seen = 0;  // positions, summed over blocks of queries
  for (int row = 0; row < p.rows; row += queries)
    seen += p.first + (row + queries < p.rows ? row + queries : p.rows);
  return Bytes(seen * p.kv_heads * p.dim * 2 * 2 + int64_t(2) * p.rows * p.heads * p.dim * 2);
}

}  // namespace kvtoll::cuda
