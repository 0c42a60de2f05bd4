// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Quantized stores on the GPU, bit for bit those of the host (codec.h, token_store.h): launchers
// over raw device pointers, each for equally long stores of several sequences at once. Needs no
// vendor header; defined only in a CUDA build (kv_device_*.cu). Example:
//   KVTOLL_TRY(auto layout, kv_device_layout(format, dtype, heads, dim, tokens));
//   kv_device_quantize(layout, {.x = keys, ...}, stream, run);
//   kv_device_dequantize(layout, {.codes = ..., .out = ...}, stream, run);
//
// Dequantization is what the real library launches, one named kernel per operation, so that its
// cost can be seen; bytes per cached value read and written with the concatenation that follows, in
// a 16-bit cache: quanto int4 12.5 (unpack 1.5, mul 3, sub 4, cat 4), HQQ int8 15 (cast 3, sub 4,
// mul 4, cat 4), HQQ int4 18. Scales and offsets (at most 0.13 a value at group 64) are not
// counted.
#pragma once

#include <functional>
#include <string_view>

#include "kvtoll/formats/codec.h"
#include "kvtoll/formats/kv_store.h"

struct CUstream_st;

namespace kvtoll {

using CudaStream = CUstream_st*;  // cudaStream_t

// How a store of `tokens` tokens lies in device memory.
struct KvDeviceLayout {
  KvFormat format;
  DType dtype = DType::kF16;  // of the cache: x, scale, offset, out
  KvShape shape;
  GroupLayout groups;
  // true: token_store.h's layout, tokens can be appended in place. false: the library's matrix,
  // rewritten as a whole.
  bool token_major = false;

  StoreBytes bytes() const {
    return kv_store_bytes(format, dtype, static_cast<int>(shape.kv_heads),
                          static_cast<int>(shape.dim), shape.tokens);
  }
  // token_major: the last `tokens` tokens as a store of their own.
  KvDeviceLayout part(int64_t tokens) const;
};

// Errors: kUnsupported: the library's refusals (codec.h); 2^31 values and more in one tensor.
Result<KvDeviceLayout> kv_device_layout(const KvFormat& format, DType dtype, int kv_heads, int dim,
                                        int64_t tokens);

// One launch: its kernel's public name and the bytes it must move.
struct KvOp {
  std::string_view kernel;
  Bytes bytes;
};
// Called once per launch, in order; must call launch(). Lets the caller mark and note launches.
using KvRun = std::function<void(const KvOp& op, const std::function<void()>& launch)>;

// Which sequences a launch serves. Each array of the params below holds them `..._stride` apart: a
// row's store is the store[row]-th, its tensor of values (x, out) the values[row]-th, and workspace
// and scratch follow one another.
struct KvRows {
  static constexpr int kMost = 64;
  int count = 1;
  uint16_t store[kMost] = {}, values[kMost] = {};
};

// Who asks after each iteration of HQQ's solver whether the error still falls. Host: as the
// library does, a wait for the stream. Device: all iterations are launched, and those after the
// last one do nothing; nothing waits, and the launches can be captured. The results are the same.
enum class SolverStop : uint8_t { kHost, kDevice };

struct KvQuantizeParams {
  const void* x = nullptr;    // [kv_head, tokens, dim] in the cache's dtype, a row
  int64_t head_stride = 0;    // elements from one head of x to the next; dim and pos are dense
  int64_t tokens = 0;         // tokens of x: all of the store's, or the last ones (token_major)
  void* codes = nullptr;      // the store: layout.bytes().payload
  void* scale = nullptr;      // quanto scale, HQQ step: half of layout.bytes().scales
  void* offset = nullptr;     // quanto shift, HQQ zero: the other half
  void* workspace = nullptr;  // kv_quantize_workspace(layout), a row
  SolverStop stop = SolverStop::kHost;
  int64_t x_stride = 0;                       // elements
  int64_t code_stride = 0, scale_stride = 0;  // bytes
  KvRows rows;
};
Bytes kv_quantize_workspace(const KvDeviceLayout& layout);
// Encodes x as the last `tokens` tokens of the store. Returns the iterations of HQQ's solver that
// were launched (0: quanto).
int kv_device_quantize(const KvDeviceLayout& layout, const KvQuantizeParams& p, CudaStream stream,
                       const KvRun& run);

// What this device's solver makes of errors (its shrinking operator); compared with hqq_shrunk()
// before a device's results are trusted. e, out: [n].
void kv_device_shrink(HqqSolver solver, const float* e, int n, float* out, CudaStream stream);

struct KvDequantizeParams {
  const void* codes = nullptr;
  const void* scale = nullptr;
  const void* offset = nullptr;
  void* out = nullptr;                        // [kv_head, pos, dim] in the cache's dtype, a row
  void* scratch = nullptr;                    // kv_dequantize_scratch(layout), a row
  int64_t code_stride = 0, scale_stride = 0;  // bytes
  int64_t out_stride = 0;                     // elements
  KvRows rows;
};
Bytes kv_dequantize_scratch(const KvDeviceLayout& layout);
void kv_device_dequantize(const KvDeviceLayout& layout, const KvDequantizeParams& p,
                          CudaStream stream, const KvRun& run);

// What attention sees of every row, as torch.cat puts it together: the dequantized store, then the
// exact tokens with the new one. How long either is, the device knows (RowMap of the CUDA backend),
// so that a captured launch serves every step.
struct KvConcatParams {
  const void* store = nullptr;  // [row] of store_stride elements: [kv_head, stored, dim]
  int64_t store_stride = 0;
  const void* exact = nullptr;  // [slot][kv_head, capacity, dim]
  int64_t capacity = 0;
  void* out = nullptr;  // [row][kv_head, out_capacity, dim]
  int64_t out_capacity = 0;
  const int* slot = nullptr;    // device [rows]
  const int* length = nullptr;  // device [slots]: tokens before the new one
  const int* start = nullptr;   // device [slots]: tokens in the store; null: none
  int rows = 1, kv_heads = 0, dim = 0;
};
// tokens: of all rows, the new ones included. 2 read, 2 written a 16-bit value.
Bytes kv_concat_bytes(int64_t tokens, int kv_heads, int dim, DType dtype);
void kv_device_concat(const KvConcatParams& p, int64_t tokens, DType dtype, CudaStream stream,
                      const KvRun& run);

// [kv_head, tokens, dim] to where heads lie otherwise far apart. x: one row after the other; out:
// by rows.values.
struct KvCopyParams {
  const void* x = nullptr;
  void* out = nullptr;
  int64_t head_stride = 0, out_head_stride = 0;  // elements
  int64_t tokens = 0;
  int kv_heads = 0, dim = 0;
  int64_t x_stride = 0, out_stride = 0;  // elements
  KvRows rows;
};
void kv_device_copy(const KvCopyParams& p, DType dtype, CudaStream stream, const KvRun& run);

namespace detail {  // checks of the launchers; fmt's compile-time checks do not pass through nvcc
int narrow_count(int64_t n);
int64_t solver_nodes(const KvDeviceLayout& layout);  // floats that the fp32 solver adds apart
void check_quantize(const KvDeviceLayout& layout, const KvQuantizeParams& p);
}  // namespace detail

}  // namespace kvtoll
