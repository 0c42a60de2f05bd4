// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// Quantized stores on the GPU, bit for bit those of the host (codec.h, token_store.h): launchers
// over raw device pointers. Needs no vendor header; defined only in a CUDA build (kv_device_*.cu).
// Example:
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

// Errors: kUnsupported: the library's refusals (codec.h), and HQQ's solver=fp32, which is what the
// library does on a CPU; 2^31 values and more in one tensor.
Result<KvDeviceLayout> kv_device_layout(const KvFormat& format, DType dtype, int kv_heads, int dim,
                                        int64_t tokens);

// One launch: its kernel's public name and the bytes it must move.
struct KvOp {
  std::string_view kernel;
  Bytes bytes;
};
// Called once per launch, in order; must call launch(). Lets the caller mark and note launches.
using KvRun = std::function<void(const KvOp& op, const std::function<void()>& launch)>;

// Who asks after each iteration of HQQ's solver whether the error still falls. Host: as the
// library does, a wait for the stream. Device: all iterations are launched, and those after the
// last one do nothing; nothing waits, and the launches can be captured. The results are the same.
enum class SolverStop : uint8_t { kHost, kDevice };

struct KvQuantizeParams {
  const void* x = nullptr;    // [kv_head, tokens, dim] in the cache's dtype
  int64_t head_stride = 0;    // elements from one head of x to the next; dim and pos are dense
  int64_t tokens = 0;         // tokens of x: all of the store's, or the last ones (token_major)
  void* codes = nullptr;      // the store: layout.bytes().payload
  void* scale = nullptr;      // quanto scale, HQQ step: half of layout.bytes().scales
  void* offset = nullptr;     // quanto shift, HQQ zero: the other half
  void* workspace = nullptr;  // kv_quantize_workspace(layout)
  SolverStop stop = SolverStop::kHost;
};
Bytes kv_quantize_workspace(const KvDeviceLayout& layout);
// Encodes x as the last `tokens` tokens of the store. Returns the iterations of HQQ's solver that
// were launched (0: quanto).
int kv_device_quantize(const KvDeviceLayout& layout, const KvQuantizeParams& p, CudaStream stream,
                       const KvRun& run);

// What the solver's shrinking operator makes of every non-negative fp16 number, by its bits, on
// this device; compared with hqq_shrink_table() before a device's results are trusted. out: [n]
// floats.
void kv_device_shrink_table(float* out, int n, CudaStream stream);

struct KvDequantizeParams {
  const void* codes = nullptr;
  const void* scale = nullptr;
  const void* offset = nullptr;
  void* out = nullptr;      // [kv_head, pos, dim] in the cache's dtype
  void* scratch = nullptr;  // kv_dequantize_scratch(layout)
};
Bytes kv_dequantize_scratch(const KvDeviceLayout& layout);
void kv_device_dequantize(const KvDeviceLayout& layout, const KvDequantizeParams& p,
                          CudaStream stream, const KvRun& run);

// out [kv_head, sum of tokens, dim]: up to three stretches of positions one after the other (store,
// residual, new), as torch.cat does. dtype_bytes: of an element.
struct KvStretch {
  const void* x = nullptr;  // [kv_head, tokens, dim]
  int64_t tokens = 0;
  int64_t head_stride = 0;  // elements
};
struct KvConcatParams {
  KvStretch parts[3];
  void* out = nullptr;
  int64_t out_head_stride = 0;  // elements
  int kv_heads = 0, dim = 0;
};
Bytes kv_concat_bytes(const KvConcatParams& p, DType dtype);  // 2 read, 2 written a 16-bit value
void kv_device_concat(const KvConcatParams& p, DType dtype, CudaStream stream, const KvRun& run);

namespace detail {  // checks of the launchers; fmt's compile-time checks do not pass through nvcc
int narrow_count(int64_t n);
void check_quantize(const KvDeviceLayout& layout, const KvQuantizeParams& p);
}  // namespace detail

}  // namespace kvtoll
