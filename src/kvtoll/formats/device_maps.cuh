// SPDX-FileCopyrightText: The kvtoll authors
// SPDX-License-Identifier: Apache-2.0
// From a KvDeviceLayout to what kernels take, and the launch of one kernel: shared by the launchers
// (kv_device_quantize.cu, kv_device_dequantize.cu).
#pragma once

#include "kvtoll/device/cuda_error.h"
#include "kvtoll/formats/device_groups.cuh"
#include "kvtoll/formats/kv_device.h"
#include "kvtoll/formats/token_store.h"

namespace kvtoll::device_formats {

constexpr int kBlock = 256;  // threads

using detail::narrow_count;

inline bool is_quanto(const KvDeviceLayout& layout) {
  return layout.format.scheme == KvScheme::kQuanto;
}

inline Order order_of(const KvDeviceLayout& layout) {
  switch (layout.groups.kind) {
    case GroupLayout::kRow:
      return Order::kRow;
    case GroupLayout::kSingle:
      return Order::kSingle;
    default:
      return is_quanto(layout) ? Order::kChannel : Order::kColumn;
  }
}

// Of `tokens` tokens that begin at position `first` of the store.
inline ScalePlace scale_place(const KvDeviceLayout& layout, int64_t tokens, int64_t first) {
  ScalePlace place;
  place.token_major = layout.token_major;
  place.tokens = narrow_count(tokens);
  place.first = narrow_count(first);
  place.heads = narrow_count(layout.shape.kv_heads);
  place.per_vector = narrow_count(layout.shape.dim / layout.format.group);
  return place;
}

inline GroupOf group_of(const KvDeviceLayout& layout, Order order) {
  return {order, layout.format.group, narrow_count(layout.groups.cols),
          narrow_count(layout.shape.dim)};
}

inline Packing packing(const KvDeviceLayout& layout, int64_t tokens, int64_t first) {
  const int bits = layout.format.bits;
  Packing p;
  p.token_major = layout.token_major;
  p.bits = bits;
  p.parts = bits == 3 ? 10 : 8 / bits;
  p.rows = narrow_count(layout.groups.rows);
  p.cols = narrow_count(layout.groups.cols);
  p.tokens = narrow_count(tokens);
  p.first = narrow_count(first);
  p.heads = narrow_count(layout.shape.kv_heads);
  p.dim = narrow_count(layout.shape.dim);
  if (layout.token_major) {
    p.unit_row = narrow_count(token_store_vector_bytes(bits, layout.shape.dim));
    p.units = narrow_count(tokens * p.heads * p.unit_row);
    return p;
  }
  p.high_first = !is_quanto(layout);
  const int64_t bytes = kv_packed_bytes(layout.format, layout.groups.rows, layout.groups.cols);
  p.units = p.unit_row = narrow_count(bits == 3 ? bytes / 4 : bytes);
  return p;
}

inline dim3 blocks_for(int64_t threads) {
  return dim3(static_cast<unsigned>((threads + kBlock - 1) / kBlock));
}

// One launch, through the caller's hook if there is one.
template <class Go>
void run_op(const KvRun& run, const KvOp& op, const Go& launch) {
  const auto go = [&] {
    launch();
    KVTOLL_CUDA(cudaGetLastError());
  };
  if (run)
    run(op, go);
  else
    go();
}

// One launch over `threads` threads a row; op: the bytes of one row. The kernel's last parameter is
// the rows.
template <class... Params, class... Args>
void launch(const KvRun& run, const KvOp& op, CudaStream stream, int64_t threads,
            const KvRows& rows, void (*kernel)(Params...), Args... args) {
  if (threads == 0) return;
  const dim3 grid(blocks_for(threads).x, static_cast<unsigned>(rows.count));
  run_op(run, {op.kernel, op.bytes * rows.count},
         [&] { kernel<<<grid, kBlock, 0, stream>>>(args..., rows); });
}

// Calls f with a null pointer of the dtype's device type.
template <class F>
decltype(auto) with_type(DType dtype, const F& f) {
  if (dtype == DType::kF16) return f(static_cast<__half*>(nullptr));
  if (dtype == DType::kBF16) return f(static_cast<__nv_bfloat16*>(nullptr));
  return f(static_cast<float*>(nullptr));
}

}  // namespace kvtoll::device_formats
